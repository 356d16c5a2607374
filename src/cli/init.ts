import { basename, dirname, join } from "node:path";
import type { JsonObject } from "@bufbuild/protobuf";
import { Command, Option } from "commander";
import { type PodInterception, parseIds, parseInterfaces } from "../init/pod-interception.ts";
import { parsePorts, parsePortsOrAll, parseRanges, parseRangesOrAll } from "../injection/interception-lists.ts";
import { chosenStatusPort, POD_PATH, PROXY_ID, PROXY_PORT } from "../injection/pod-contract.ts";
import { messageOf, TrysailError } from "../platform/errors.ts";

/**
 * `trysail init`, the injected init container: writes the proxy's bootstrap and redirects the pod's traffic to it.
 * Every pod waits for it, so each part is loaded only where it is needed.
 */
export function initCommand(): Command {
  return new Command("init")
    .description("prepare an injected pod: write the proxy's bootstrap and redirect the pod's traffic to it")
    .option("--bootstrap <file>", "where to write Envoy's bootstrap", POD_PATH.bootstrap)
    .option("--discovery-address <host:port>", "the control plane; by default what PROXY_CONFIG says")
    .option("--token-file <file>", "the token by which the proxy proves who it is", POD_PATH.token)
    .option("--root-cert-file <file>", "the certificates by which the proxy knows the control plane", POD_PATH.rootCert)
    .option("--pod-info <dir>", "folder with the pod's labels and annotations", POD_PATH.podInfo)
    .option("--include-inbound-ports <ports>", "ports to redirect, or * for all", "*")
    .option("--exclude-inbound-ports <ports>", "ports to leave alone", "")
    .option("--include-outbound-ports <ports>", "ports to redirect whatever the destination", "")
    .option("--exclude-outbound-ports <ports>", "ports to leave alone", "")
    .option("--include-outbound-ranges <cidrs>", "destinations to redirect, or * for all", "*")
    .option("--exclude-outbound-ranges <cidrs>", "destinations to leave alone", "")
    .option("--exclude-interfaces <names>", "network interfaces whose traffic to leave alone", "")
    .option("--reroute-virtual-interfaces <names>", "interfaces of machines in the pod, whose traffic is outbound", "")
    .option("--proxy-uid <uids>", "users whose traffic to leave alone: the proxy's", String(PROXY_ID))
    .option("--proxy-gid <gids>", "groups whose traffic to leave alone: the proxy's", String(PROXY_ID))
    .option("--status-port <port>", "of metrics and health, to leave alone", String(PROXY_PORT.mergedMetrics))
    .option("--redirect-dns", "redirect DNS queries as well, over UDP and TCP", false)
    .addOption(
      new Option(
        "--interception-mode <mode>",
        "how to bring inbound traffic to the proxy; by default what the pod says",
      )
        .choices(["REDIRECT", "TPROXY", "NONE"])
        .env("ISTIO_META_INTERCEPTION_MODE")
        .default("REDIRECT"),
    )
    .addOption(
      new Option("--iptables <kind>", "by default the kind that the pod's rules are of, else nft")
        .choices(["auto", "nft", "legacy"])
        .default("auto"),
    )
    .option("--ipv6", "intercept IPv6 as well; by default where the pod has such an address", false)
    .option("--bootstrap-only", "write the bootstrap alone: someone else intercepts", false)
    .option("--node", "only intercept, from outside the pod; needs --netns", false)
    .option("--netns <file>", "the pod's network namespace, with --node")
    .option("--dry-run", "print the rules; change and write nothing", false)
    .option("--clean", "take the rules away again, and do nothing else", false)
    .action((options: InitOptions) => run(options, process.env));
}

interface InitOptions {
  readonly bootstrap: string;
  readonly discoveryAddress?: string;
  readonly tokenFile: string;
  readonly rootCertFile: string;
  readonly podInfo: string;
  readonly includeInboundPorts: string;
  readonly excludeInboundPorts: string;
  readonly includeOutboundPorts: string;
  readonly excludeOutboundPorts: string;
  readonly includeOutboundRanges: string;
  readonly excludeOutboundRanges: string;
  readonly excludeInterfaces: string;
  readonly rerouteVirtualInterfaces: string;
  readonly proxyUid: string;
  readonly proxyGid: string;
  readonly statusPort: string;
  readonly redirectDns: boolean;
  readonly interceptionMode: "REDIRECT" | "TPROXY" | "NONE";
  readonly iptables: "auto" | "nft" | "legacy";
  readonly ipv6: boolean;
  readonly bootstrapOnly: boolean;
  readonly node: boolean;
  readonly netns?: string;
  readonly dryRun: boolean;
  readonly clean: boolean;
}

async function run(options: InitOptions, env: NodeJS.ProcessEnv): Promise<void> {
  if (options.node !== (options.netns !== undefined)) {
    throw new TrysailError("invalid-argument", "--node and --netns FILE need each other");
  }
  const settings = parseSettings(options);
  if (!options.dryRun && !options.clean && !options.node) await writeBootstrap(options, env);
  if (!options.bootstrapOnly) await intercept(options, settings, env);
}

/** Null where nothing is intercepted. */
function parseSettings(options: InitOptions): PodInterception | null {
  const settings = {
    includeInboundPorts: parsePortsOrAll(options.includeInboundPorts, "--include-inbound-ports"),
    excludeInboundPorts: parsePorts(options.excludeInboundPorts, "--exclude-inbound-ports"),
    includeOutboundPorts: parsePorts(options.includeOutboundPorts, "--include-outbound-ports"),
    excludeOutboundPorts: parsePorts(options.excludeOutboundPorts, "--exclude-outbound-ports"),
    includeOutboundRanges: parseRangesOrAll(options.includeOutboundRanges, "--include-outbound-ranges"),
    excludeOutboundRanges: parseRanges(options.excludeOutboundRanges, "--exclude-outbound-ranges"),
    excludeInterfaces: parseInterfaces(options.excludeInterfaces, "--exclude-interfaces"),
    rerouteInterfaces: parseInterfaces(options.rerouteVirtualInterfaces, "--reroute-virtual-interfaces"),
    proxyUids: parseIds(options.proxyUid, "--proxy-uid"),
    proxyGids: parseIds(options.proxyGid, "--proxy-gid"),
    statusPort: parsePorts(options.statusPort, "--status-port")[0] ?? PROXY_PORT.mergedMetrics,
    redirectDns: options.redirectDns,
  };
  return options.interceptionMode === "NONE" ? null : { ...settings, mode: options.interceptionMode };
}

async function intercept(
  options: InitOptions,
  settings: PodInterception | null,
  env: NodeJS.ProcessEnv,
): Promise<void> {
  const [{ applyInterception, printInterception, removeInterception }, { createRunTool }, { hasIpv6 }] =
    await Promise.all([
      import("../init/apply-interception.ts"),
      import("../init/network-tool.ts"),
      import("../init/pod-environment.ts"),
    ]);
  const runTool = createRunTool(options.netns);
  const isDualStack = options.ipv6 || (options.node ? await hasGlobalIpv6(runTool) : hasIpv6(env));
  const families = isDualStack ? (["ipv4", "ipv6"] as const) : (["ipv4"] as const);
  const how = { families, iptables: options.iptables };
  if (options.clean) await removeInterception(runTool, how);
  else if (settings === null) return;
  else if (options.dryRun) process.stdout.write(printInterception(settings, families));
  else await applyInterception(runTool, settings, how);
}

/** From outside, the pod's addresses are not in the environment, but they can be seen. */
async function hasGlobalIpv6(runTool: (tool: string, args: readonly string[]) => Promise<string>): Promise<boolean> {
  return (await runTool("ip", ["-6", "-o", "addr", "show", "scope", "global", "to", "::/0"]))
    .split("\n")
    .some((line) => line !== "" && !/ lo +inet6 /.test(line));
}

async function writeBootstrap(options: InitOptions, env: NodeJS.ProcessEnv): Promise<void> {
  const { parsePodEnvironment } = await import("../init/pod-environment.ts");
  const { node, probers, appMetrics, lifecycleTasks, proxyConfig, memoryLimitBytes, overrideFile } =
    parsePodEnvironment(env);
  const address = options.discoveryAddress ?? proxyConfig.discoveryAddress;
  if (address === undefined) {
    throw new TrysailError("failed-precondition", "no control plane is named: set --discovery-address or PROXY_CONFIG");
  }
  const ports = { ...PROXY_PORT, mergedMetrics: chosenStatusPort(proxyConfig) ?? PROXY_PORT.mergedMetrics };
  const [labels, annotations] = [await podInfo(options, "labels"), await podInfo(options, "annotations")];

  const { buildBootstrap, printBootstrap } = await import("../init/bootstrap.ts");
  const { withResolvedStatsd } = await import("../init/resolve-statsd.ts");
  const bootstrap = buildBootstrap({
    node: { ...node, labels, annotations },
    proxyConfig: await withResolvedStatsd(proxyConfig),
    ...(memoryLimitBytes === undefined ? {} : { memoryLimitBytes }),
    discovery: { address, tokenFile: options.tokenFile, rootCertFile: options.rootCertFile },
    probers,
    ...(appMetrics === undefined ? {} : { appMetrics }),
    ports,
  });
  const override = overrideFile === undefined ? {} : await bootstrapOverride(overrideFile);
  await writeConfig(options.bootstrap, printBootstrap(bootstrap, override));
  if (lifecycleTasks === undefined) return;
  const { buildLifecycleTask } = await import("../init/lifecycle-task.ts");
  for (const [name, file] of [
    ["postStart", POD_PATH.postStart],
    ["preStop", POD_PATH.preStop],
  ] as const) {
    const task = lifecycleTasks[name];
    if (task === undefined) continue;
    // Beside the bootstrap, wherever that is.
    const path = join(dirname(options.bootstrap), basename(file));
    await writeConfig(path, printBootstrap(buildLifecycleTask({ task, name, ports })));
  }
}

async function writeConfig(path: string, text: string): Promise<void> {
  const { writeAtomically } = await import("../init/write-atomically.ts");
  await writeAtomically(path, text).catch((cause: unknown) => {
    throw new TrysailError("failed-precondition", `${path} cannot be written: ${messageOf(cause)}`, { cause });
  });
}

async function bootstrapOverride(file: string): Promise<JsonObject> {
  const [{ readFile }, { parse }] = await Promise.all([import("node:fs/promises"), import("yaml")]);
  try {
    const value: unknown = parse(await readFile(file, "utf8"), { maxAliasCount: 0 });
    if (typeof value !== "object" || value === null || Array.isArray(value)) throw new Error("it is not an object");
    return JSON.parse(JSON.stringify(value));
  } catch (cause) {
    const message = `${file}, the bootstrap of the annotation sidecar.istio.io/bootstrapOverride, cannot be read: ${messageOf(cause)}`;
    throw new TrysailError("failed-precondition", message, { cause });
  }
}

async function podInfo(options: InitOptions, name: "labels" | "annotations"): Promise<Record<string, string>> {
  const [{ readFile }, { parseDownwardMap }] = await Promise.all([
    import("node:fs/promises"),
    import("../init/downward-map.ts"),
  ]);
  const file = join(options.podInfo, name);
  const text = await readFile(file, "utf8").catch((cause: unknown) => {
    const message = `${file} cannot be read: ${messageOf(cause)}; the webhook mounts it from the volume istio-podinfo`;
    throw new TrysailError("failed-precondition", message, { cause });
  });
  return parseDownwardMap(text, file);
}
