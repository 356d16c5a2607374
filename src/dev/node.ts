import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { hostname } from "node:os";
import { dirname, join, resolve } from "node:path";
import { loadTokenIssuer, type TokenIssuer } from "../ca/jwt/token-issuer.ts";
import type { ObjectSet } from "../mesh/object-set.ts";
import { type Clock, systemClock } from "../platform/clock.ts";
import { messageOf, TrysailError } from "../platform/errors.ts";
import { openStateDir } from "../platform/state-dir.ts";
import type { Source } from "../sources/source.ts";
import { keepAdminToken } from "./admin-token.ts";
import { createAdmission } from "./admission.ts";
import { awaitProxies } from "./await-proxies.ts";
import { defaultBackOff } from "./back-off.ts";
import { buildContainerPlan } from "./build-container-plan.ts";
import { builtInImages } from "./built-in-images.ts";
import { type Cluster, createCluster } from "./cluster.ts";
import { buildConfigLookup } from "./config-lookup.ts";
import { startContainer } from "./container-process.ts";
import { type ControlPlane, startControlPlane } from "./control-plane.ts";
import { findingLines } from "./finding-lines.ts";
import { buildForwardingRules } from "./forwarding-rules.ts";
import { readImages } from "./images.ts";
import { createLatestOnly } from "./latest-only.ts";
import { lastLines } from "./log-files.ts";
import { followMeshFindings } from "./mesh-findings.ts";
import { buildNameTable } from "./name-answers.ts";
import { createNameServer } from "./name-server.ts";
import { createNodeNetwork, NODE_IP, run } from "./node-network.ts";
import { createObjectFolder, type ManifestObject } from "./object-folder.ts";
import type { DevOptions } from "./options.ts";
import { startPodRunner } from "./pod-runner.ts";
import { hasProxy } from "./pod-status.ts";
import { checkProbe } from "./probe-check.ts";
import { replaceFile } from "./replace-file.ts";
import { buildReport } from "./report.ts";
import type { ServiceView } from "./service-view.ts";
import { statePaths } from "./state-folder.ts";
import { SYSTEM_NAMESPACE, writtenMark } from "./system-objects.ts";
import { createVolumeFolders } from "./volume-folders.ts";

/** Everything that runs inside: the network, the control plane, the pods. */
export interface Node {
  readonly cluster: Cluster;
  readonly controlPlane: ControlPlane;
  /** What is wrong now, as lines for a terminal, the gravest first. */
  findings(): readonly string[];
  /** Problems of the runner itself, for people; called behind each. */
  onProblem(listener: (message: string) => void): void;
  /** Objects, rules and report are written as far as they are known. */
  flush(): Promise<void>;
  /**
   * Resolves when the control plane has read what is written, and the proxies of ready pods have taken all that follows from
   * it; within `withinMs` at the latest, with the pods whose proxies have not.
   */
  followed(withinMs: number, stop: AbortSignal): Promise<readonly string[]>;
  stop(): Promise<void>;
}

const DOMAIN = "cluster.local";
const PODS_FOLDER = "/run/trysail/pods";
const CONTROL_PLANE_READY_MS = 60_000;
const REFUSED_AT_START = 3;

/** Builds the node in the namespaces this process is in; `createSource` reads the user's folder. */
export async function startNode(options: DevOptions, createSource: (folder: string) => Source): Promise<Node> {
  const clock = systemClock;
  const paths = statePaths(options.stateDir);
  await readImages(options.folder); // a broken file is said before anything runs
  const issuer = await loadTokenIssuer({ state: await openStateDir(paths.controlPlane), clock });
  const problems: ((message: string) => void)[] = [];
  const problem = (thrown: unknown) => {
    for (const listener of problems) listener(messageOf(thrown));
  };

  const network = await createNodeNetwork();
  let names = buildNameTable([], DOMAIN);
  const nameServer = await createNameServer(NODE_IP, 53, () => names);
  const writeObjects = createLatestOnly(await createObjectFolder(paths.objects), problem);
  const rules = createLatestOnly((text: string) => run("iptables-restore", [], [text]), problem);
  const reports = createLatestOnly((text: string) => replaceFile(paths.report, text), problem);
  let lastRules = "";
  let lastObjects: readonly ManifestObject[] = [];
  let isMarked = false;
  const pushObjects = () => writeObjects.push(isMarked ? [...lastObjects, writtenMark] : lastObjects);
  const publish = (objects: readonly ManifestObject[], views: readonly ServiceView[]) => {
    lastObjects = objects;
    pushObjects();
    names = buildNameTable(views, DOMAIN);
    const text = buildForwardingRules(views);
    if (text !== lastRules) rules.push(text);
    lastRules = text;
    reports.push(`${JSON.stringify(buildReport(cluster.pods(), controlPlane), null, 2)}\n`);
  };

  const rootCertificate = () => readIfThere(paths.rootCertificate);
  const node = { name: hostname(), ip: NODE_IP };
  const admission = createAdmission({
    url: "https://127.0.0.1:15017/inject",
    serverName: `trysail.${SYSTEM_NAMESPACE}.svc`,
    rootFile: paths.rootCertificate,
  });
  let lookup = buildConfigLookup([], rootCertificate);
  const volumeDeps = {
    clock,
    claimsFolder: paths.claims,
    mintToken: (request: Parameters<TokenIssuer["issue"]>[0]) => issuer.issue(request),
    lookup: {
      configMap: (namespace: string, name: string) => lookup.configMap(namespace, name),
      secret: (namespace: string, name: string) => lookup.secret(namespace, name),
    },
  };
  const context = {
    lookup: volumeDeps.lookup,
    folder: options.folder,
    domain: DOMAIN,
    visible: [resolve(import.meta.dirname, "../.."), options.folder, process.execPath, options.envoy],
    // The mesh's keys and the volumes of other pods.
    masked: [paths.root, PODS_FOLDER],
    layerPerFolder: options.ordinaryUser,
    logsFolder: paths.logs,
    podsFolder: PODS_FOLDER,
    path: [dirname(process.execPath), "/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"],
  };
  const builtIn = builtInImages({ envoy: options.envoy, trysail: options.program, compileCache: paths.compileCache });
  const cluster = createCluster({
    node,
    rootCertificate,
    publish,
    startPod: (manifest, onChange) =>
      startPodRunner(
        {
          clock,
          backOff: defaultBackOff,
          admit: admission.admit,
          network,
          node,
          podsFolder: PODS_FOLDER,
          createVolumes: (pod, folder) => createVolumeFolders(volumeDeps, pod, folder),
          launch: async (start) => {
            const images = [await readImages(options.folder), builtIn];
            return startContainer(buildContainerPlan(start, { ...context, images }));
          },
          check: (probe, container, ip, { exec }, timeoutMs) => checkProbe(probe, { ip, container, exec }, timeoutMs),
          onChange,
        },
        manifest,
      ),
  });

  const source = createSource(options.folder);
  await source.start();
  const controlPlane = startControlPlane({
    clock,
    backOff: defaultBackOff,
    argv: [
      ...options.program,
      "serve",
      "--config-dir",
      options.folder,
      "--config-dir",
      paths.objects,
      "--state-dir",
      paths.controlPlane,
      ...options.serveFlags,
    ],
    logFile: join(paths.logs, "control-plane.log"),
    readyUrl: "http://127.0.0.1:8080/ready",
    onChange: () => cluster.touch(),
  });
  const stopToken = keepAdminToken(clock, issuer, paths.adminToken, problem);
  await awaitReady(controlPlane, join(paths.logs, "control-plane.log"), clock);

  const apply = (set: ObjectSet) => {
    lookup = buildConfigLookup(set.objects, rootCertificate);
    cluster.apply(set);
  };
  const unsubscribe = source.onChange(apply);
  apply(source.current());
  const meshFindings = followMeshFindings({
    clock,
    url: "http://127.0.0.1:8080/debug/findings",
    token: () => readFile(paths.adminToken, "utf8"),
    onChange: () => cluster.touch(),
  });

  const flush = async () => {
    for (const part of [writeObjects, rules, reports]) await part.settled();
  };
  return {
    cluster,
    controlPlane,
    findings: () => findingLines([cluster.findings(), meshFindings.current()], paths.objects),
    onProblem: (listener) => void problems.push(listener),
    flush,
    async followed(withinMs, stop) {
      await flush(); // what is read behind the mark may have been written before it
      isMarked = true;
      pushObjects();
      await flush();
      return await awaitProxies({
        ...{ clock, withinMs, stop },
        url: "http://127.0.0.1:8080",
        token: () => readFile(paths.adminToken, "utf8"),
        mark: writtenMark,
        pods: () =>
          cluster
            .pods()
            .filter(hasProxy)
            .map(({ name, namespace }) => `${name}.${namespace}`),
      });
    },
    async stop() {
      unsubscribe();
      meshFindings.stop();
      await source.stop();
      await cluster.stop();
      stopToken();
      await controlPlane.stop();
      admission.close();
      nameServer.close();
    },
  };
}

/** Rejects with the control plane's own last words where it does not come up. */
async function awaitReady(controlPlane: ControlPlane, logFile: string, clock: Clock): Promise<void> {
  const deadline = clock.now() + CONTROL_PLANE_READY_MS;
  while (!controlPlane.ready) {
    if (clock.now() > deadline || controlPlane.restarts >= REFUSED_AT_START) {
      await controlPlane.stop();
      const said = await lastLines(logFile, 50);
      const words = said.findLast((line) => /^trysail: |Error/.test(line)) ?? said.at(-1) ?? "it says nothing";
      throw new TrysailError(
        "unavailable",
        `the control plane does not start: ${words.replace("trysail: ", "")} (${logFile})`,
      );
    }
    await new Promise<void>((resolve) => clock.after(20, resolve));
  }
}

function readIfThere(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch {
    return undefined;
  }
}
