/** `make bench-istiod`: measures istiod and Trysail in one sitting, on the same mesh, by the same client. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { TOKEN_AUDIENCE } from "../../src/ca/jwt/token-issuer.ts";
import { everyIstioKind, installIstioKinds } from "../../test/cluster/istio-crds.ts";
import { findKubernetes } from "../../test/cluster/programs.ts";
import { startKubernetes, type TestKubernetes } from "../../test/cluster/start-kubernetes.ts";
import type { Cleanup } from "../../test/support/cleanup.ts";
import { until } from "../../test/support/until.ts";
import { patchObject, postObjects } from "../cluster-objects.ts";
import { measureInject } from "../inject.ts";
import { findLoadClient, type LoadClient, runClient, runPush, runSync } from "../load-client.ts";
import { buildEndpointSlice, buildMesh, buildVirtualService, endpointAddresses, type Manifest } from "../mesh.ts";
import { BENCH_NAMESPACE } from "../review-template.ts";
import { buildComparison, type Figure } from "./comparison.ts";
import type { Contender } from "./contender.ts";
import { startIstiod } from "./istiod.ts";
import { startTrysail } from "./trysail.ts";

const SIZE = { services: 1000, endpoints: 5 };
const PROXIES = 100;
const CSR_WORKERS = 32;
const CSR_SECONDS = 5;

type Start = (t: Cleanup, kubernetes: TestKubernetes, scratch: string) => Promise<Contender>;

const found = findKubernetes();
if ("missing" in found) throw new Error(found.missing);
const { programs } = found;

/** Everything that is measured of one of them, in front of an API server of its own that holds the mesh. */
async function measure(start: Start, client: LoadClient): Promise<readonly Figure[]> {
  const ends: (() => unknown)[] = [];
  const cleanup = { after: (end: () => unknown) => ends.unshift(end) };
  const scratch = await mkdtemp(join(tmpdir(), "trysail-bench-"));
  cleanup.after(() => rm(scratch, { recursive: true, force: true }));
  try {
    const kubernetes = await startKubernetes(cleanup, programs);
    await installIstioKinds(kubernetes, everyIstioKind);
    await postObjects(kubernetes, [BENCH_NAMESPACE, ...buildMesh(SIZE).map(({ object }) => object)]);
    const contender = await start(cleanup, kubernetes, scratch);
    say(`${contender.name} is ready`);
    return [
      { name: `ready, ${SIZE.services} services read`, unit: "ms", value: contender.readyMs },
      ...(await measureStreams(contender, { client, kubernetes, scratch })),
      { name: "peak memory of all that", unit: "MB", value: contender.peakMemoryMb() },
      ...(await measureWebhook(contender, client, scratch)),
      ...(await measureCertificates(contender, { client, kubernetes, scratch })),
    ];
  } finally {
    for (const end of ends) await end();
  }
}

interface Tools {
  readonly client: LoadClient;
  readonly kubernetes: TestKubernetes;
  readonly scratch: string;
}

/** What proxies wait for, at their start and behind changes that are written to the API server. */
async function measureStreams(contender: Contender, { client, kubernetes, scratch }: Tools): Promise<Figure[]> {
  const target = contender.adsAddress;
  const sync = async (clients: number, delta: boolean) => {
    const { synced, max_ms } = await runSync(client, { target, clients, delta });
    if (synced !== clients) throw new Error(`${contender.name}: ${synced} of ${clients} proxies came in sync`);
    return max_ms;
  };
  const push = async (delta: boolean, watch: string, changed: Manifest) => {
    const change = () => patchObject(kubernetes, changed);
    const load = { target, clients: PROXIES, delta, watch, scratch, change };
    const { push_reached, push_p99_ms } = await runPush(client, load);
    if (push_reached !== PROXIES || push_p99_ms === undefined)
      throw new Error(`${contender.name}: a change reached ${push_reached} of ${PROXIES} proxies`);
    return push_p99_ms;
  };
  const figures: Figure[] = [{ name: "first proxy in sync", unit: "ms", value: await sync(1, true) }];
  for (const delta of [false, true]) {
    const protocol = delta ? "delta" : "state-of-the-world";
    const address = delta ? "10.222.1.2" : "10.222.1.1";
    const slice = buildEndpointSlice(3, [...endpointAddresses(3, SIZE.endpoints), address]);
    const canary = `canary-${protocol}`;
    const routes = buildVirtualService(10, SIZE.services, canary);
    figures.push(
      { name: `${PROXIES} proxies in sync, ${protocol}`, unit: "ms", value: await sync(PROXIES, delta) },
      { name: `endpoint change (p99), ${protocol}`, unit: "ms", value: await push(delta, address, slice) },
      { name: `VirtualService change (p99), ${protocol}`, unit: "ms", value: await push(delta, canary, routes) },
    );
  }
  return figures;
}

/** Pods of 200 Deployments in turn. */
async function measureWebhook(contender: Contender, client: LoadClient, scratch: string): Promise<Figure[]> {
  const { httpsPort: port, rootCertFile } = contender;
  const load = { port, rootCertFile, connections: 16, deployments: 200 };
  const { per_s, p99_ms } = await measureInject(client, { ...load, amount: { seconds: 5, warmUpSeconds: 5 } }, scratch);
  return [
    { name: "/inject over HTTPS, 16 connections", unit: "/s", value: per_s },
    { name: "/inject, p99", unit: "ms", value: p99_ms },
  ];
}

/** By gRPC over TLS, with one token, which the API server issued, and one CSR. */
async function measureCertificates(contender: Contender, { client, kubernetes, scratch }: Tools): Promise<Figure[]> {
  const token = join(scratch, "token");
  await writeFile(token, await issueToken(kubernetes));
  const { per_s, p99_ms } = await runClient<{ per_s: number; p99_ms: number }>(client, [
    ...["-mode", "csr", "-target", `127.0.0.1:${contender.grpcPort}`, "-ca", contender.rootCertFile, "-token", token],
    ...["-clients", String(CSR_WORKERS), "-for", `${CSR_SECONDS}s`, "-warm-up", `${CSR_SECONDS}s`],
  ]);
  return [
    { name: `CreateCertificate, TLS, JWT, ${CSR_WORKERS} workers`, unit: "/s", value: per_s },
    { name: "CreateCertificate, p99", unit: "ms", value: p99_ms },
  ];
}

async function issueToken(kubernetes: TestKubernetes): Promise<string> {
  const path = "/api/v1/namespaces/default/serviceaccounts/default/token";
  const request = { spec: { audiences: [TOKEN_AUDIENCE], expirationSeconds: 3600 } };
  return await until("a token", async () => {
    const { status, body } = await kubernetes.call("POST", path, request);
    if (status !== 201) throw new Error(JSON.stringify(body));
    return body.status.token;
  });
}

function say(text: string): void {
  process.stderr.write(`bench: ${text}\n`);
}

const client = await findLoadClient("go");
const istiod = await measure(startIstiod, client);
const trysail = await measure(startTrysail, client);
process.stdout.write(`${buildComparison(istiod, trysail)}\n`);
