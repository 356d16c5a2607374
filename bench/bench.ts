/** `make bench`: measures the control plane as a process of its own and prints what it reached. */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startControlPlane } from "./control-plane.ts";
import { measureCsr } from "./csr.ts";
import { buildGrowthChart } from "./growth-chart.ts";
import { findLoadClient, type LoadClient, type LoadResult, runPush, runSync } from "./load-client.ts";
import { inTurn, median } from "./median.ts";
import {
  buildEndpointSlice,
  buildVirtualService,
  endpointAddresses,
  endpointsFile,
  type MeshSize,
  routesFile,
  writeMesh,
} from "./mesh.ts";
import { parseBenchOptions } from "./options.ts";
import { replaceFile } from "./replace-file.ts";
import { BENCH_NAMESPACE } from "./review-template.ts";
import { measureRotation } from "./rotation.ts";
import { measureScale } from "./scale.ts";
import { buildTable, type Measurement, TARGETS } from "./targets.ts";
import { measureTranslation } from "./translate.ts";
import { measureValidation } from "./validation.ts";
import { measureWebhook } from "./webhook.ts";

const PROXIES = 100;
/** One change is one sample, in which a collection of garbage on either side may lie, so that of several the middle one counts. */
const CHANGES = 5;

interface Run {
  readonly client: LoadClient;
  readonly size: MeshSize;
  /** A further case with so many proxies. */
  readonly more: number | null;
  /** Over how many reviews memory is watched. */
  readonly reviews: number;
  /** Nothing but the webhook, or certificates by request. */
  readonly only: "inject" | "csr" | null;
  readonly scratch: string;
}

async function measure({ client, size, more, reviews, only, scratch }: Run) {
  const folder = join(scratch, "mesh");
  await mkdir(folder);
  await writeMesh(folder, size);
  await replaceFile(join(folder, "inject-namespace.json"), BENCH_NAMESPACE);
  const controlPlane = await startControlPlane(folder, scratch);
  const target = controlPlane.adsAddress;
  const measurements: Measurement[] = [];
  const runs: LoadResult[] = [];
  const sync = async (clients: number, delta: boolean) => {
    const result = await runSync(client, { target, clients, delta });
    runs.push(result);
    if (result.synced !== clients) throw new Error(`${result.synced} of ${clients} proxies came in sync`);
    return result.max_ms;
  };
  const push = async (delta: boolean, watch: string, change: () => Promise<void>) => {
    const result = await runPush(client, { target, clients: PROXIES, delta, watch, scratch, change });
    runs.push(result);
    if (result.push_reached !== PROXIES)
      throw new Error(`a change reached ${result.push_reached} of ${PROXIES} proxies`);
    return result.push_p99_ms ?? Number.POSITIVE_INFINITY;
  };
  let changes = 0;
  const pushEndpoint = (delta: boolean) => {
    const address = `10.222.1.${++changes}`;
    const addresses = [...endpointAddresses(3, size.endpoints), address];
    return push(delta, address, () => replaceFile(join(folder, endpointsFile(3)), buildEndpointSlice(3, addresses)));
  };
  const pushRoute = (delta: boolean) => {
    const canary = `canary-${++changes}`;
    return push(delta, canary, () =>
      replaceFile(join(folder, routesFile(10)), buildVirtualService(10, size.services, canary)),
    );
  };
  const webhook = () => measureWebhook({ client, controlPlane, reviews, scratch, push: () => sync(PROXIES, true) });
  const certificates = () => measureCsr({ client, controlPlane, scratch, pushEndpoint: () => pushEndpoint(true) });

  try {
    if (only !== null) {
      const alone = await (only === "inject" ? webhook() : certificates());
      return { readyMs: controlPlane.readyMs, measurements: alone, runs };
    }
    measurements.push({ name: "first proxy in sync", value: await sync(1, true), target: TARGETS.firstProxy });
    for (const delta of [false, true]) {
      const protocol = delta ? "delta" : "state-of-the-world";
      measurements.push({
        name: `${PROXIES} proxies in sync, ${protocol}`,
        value: await sync(PROXIES, delta),
        target: TARGETS.hundredProxies,
      });
      measurements.push({
        name: `endpoint change at ${PROXIES} (p99), ${protocol}`,
        value: median(await inTurn(CHANGES, () => pushEndpoint(delta))),
        target: TARGETS.endpointChange,
      });
      measurements.push({
        name: `VirtualService change at ${PROXIES} (p99), ${protocol}`,
        value: median(await inTurn(CHANGES, () => pushRoute(delta))),
        target: TARGETS.routeChange,
      });
    }
    if (more !== null) {
      measurements.push({
        name: `${more} proxies in sync, state-of-the-world`,
        value: await sync(more, false),
        target: TARGETS.threeHundredProxies,
      });
    }
    measurements.push({
      name: "peak memory of all that",
      value: controlPlane.peakMemoryMb(),
      target: TARGETS.peakMemory,
    });
    measurements.push(...(await webhook()));
    if (client.name === "go") measurements.push(...(await certificates()));
    const translation = measureTranslation(size, PROXIES);
    measurements.push(
      {
        name: "translation for the first proxy, CPU",
        value: translation.firstProxyMs,
        target: TARGETS.firstTranslation,
      },
      {
        name: `of a VirtualService change for ${PROXIES}, CPU`,
        value: translation.routeChangeMs,
        target: TARGETS.translation,
      },
      {
        name: `of an endpoint change for ${PROXIES}, CPU`,
        value: translation.endpointChangeMs,
        target: TARGETS.translation,
      },
    );
    measurements.push({
      name: "validation of a policy of 1,000 rules (p99)",
      value: measureValidation(),
      target: TARGETS.validation,
    });
    const rotation = await measureRotation({ workloads: 10_000, windowMs: 30_000 });
    measurements.push(
      { name: "10,000 certificates renewed over 30 s", value: rotation.tookMs, target: TARGETS.renewals },
      { name: "event loop kept waiting meanwhile (p99)", value: rotation.lagP99Ms, target: TARGETS.renewalLag },
    );
    return { readyMs: controlPlane.readyMs, measurements, runs };
  } finally {
    await controlPlane.stop();
  }
}

const options = parseBenchOptions(process.argv.slice(2));
const { services, endpoints, reviews, proxies: more = null, only = null } = options;
const size = { services, endpoints };
const scratch = await mkdtemp(join(tmpdir(), "trysail-bench-"));
try {
  const client = await findLoadClient(options.client);
  const whole = options.scale ? null : await measure({ client, size, more, reviews, only, scratch });
  const scale = only !== null ? null : await measureScale({ client, endpoints, scratch });
  if (options.chart !== undefined && scale !== null) await writeFile(options.chart, buildGrowthChart(scale.growth));
  const measurements = [...(whole?.measurements ?? []), ...(scale?.measurements ?? [])];
  if (options.json) {
    const growth = scale?.growth;
    console.log(JSON.stringify({ client: client.name, ...size, ...whole, measurements, growth }, null, 2));
  } else {
    if (whole !== null) {
      const read = `read in ${whole.readyMs.toFixed(0)} ms`;
      console.log(`${services} services × ${endpoints} endpoints from files, ${read};`);
    }
    console.log(`plaintext ADS, played by the ${client.name === "go" ? "Go" : "Node"} client on the same machine\n`);
    console.log(buildTable(measurements));
    const [first] = whole?.runs ?? [];
    if (first !== undefined) console.log(`\n${(first.MB / first.clients).toFixed(2)} MB of configuration per proxy`);
  }
} catch (thrown) {
  console.error(`bench: ${thrown instanceof Error ? thrown.message : thrown}`);
  process.exitCode = 1;
} finally {
  await rm(scratch, { recursive: true, force: true });
}
