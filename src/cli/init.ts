import { join } from "node:path";
import { Command } from "commander";
import { parsePorts, parsePortsOrAll, parseRanges, parseRangesOrAll } from "../injection/interception-lists.ts";
import { type InterceptionSettings, POD_PATH, PROXY_PORT } from "../injection/pod-contract.ts";
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
    .option("--ipv6", "redirect IPv6 as well; by default where the pod has such an address", false)
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
  readonly ipv6: boolean;
  readonly dryRun: boolean;
  readonly clean: boolean;
}

async function run(options: InitOptions, env: NodeJS.ProcessEnv): Promise<void> {
  const settings = parseSettings(options);
  if (!options.dryRun && !options.clean) await writeBootstrap(options, env);
  await intercept(options, settings, env);
}

function parseSettings(options: InitOptions): InterceptionSettings {
  return {
    includeInboundPorts: parsePortsOrAll(options.includeInboundPorts, "--include-inbound-ports"),
    excludeInboundPorts: parsePorts(options.excludeInboundPorts, "--exclude-inbound-ports"),
    includeOutboundPorts: parsePorts(options.includeOutboundPorts, "--include-outbound-ports"),
    excludeOutboundPorts: parsePorts(options.excludeOutboundPorts, "--exclude-outbound-ports"),
    includeOutboundRanges: parseRangesOrAll(options.includeOutboundRanges, "--include-outbound-ranges"),
    excludeOutboundRanges: parseRanges(options.excludeOutboundRanges, "--exclude-outbound-ranges"),
  };
}

async function intercept(options: InitOptions, settings: InterceptionSettings, env: NodeJS.ProcessEnv): Promise<void> {
  const [{ buildRules, natTransaction }, { applyRules }, { hasIpv6 }] = await Promise.all([
    import("../init/interception.ts"),
    import("../init/apply-rules.ts"),
    import("../init/pod-environment.ts"),
  ]);
  const families = options.ipv6 || hasIpv6(env) ? (["ipv4", "ipv6"] as const) : (["ipv4"] as const);
  for (const family of families) {
    const rules = options.clean ? [] : buildRules(settings, family);
    if (options.dryRun) process.stdout.write(`# ${family}\n${natTransaction(rules)}`);
    else await applyRules(rules, family);
  }
}

async function writeBootstrap(options: InitOptions, env: NodeJS.ProcessEnv): Promise<void> {
  const { parsePodEnvironment } = await import("../init/pod-environment.ts");
  const { node, probers, discoveryAddress } = parsePodEnvironment(env);
  const address = options.discoveryAddress ?? discoveryAddress;
  if (address === undefined) {
    throw new TrysailError("failed-precondition", "no control plane is named: set --discovery-address or PROXY_CONFIG");
  }
  const [labels, annotations] = [await podInfo(options, "labels"), await podInfo(options, "annotations")];

  const { buildBootstrap, printBootstrap } = await import("../init/bootstrap.ts");
  const bootstrap = buildBootstrap({
    node: { ...node, labels, annotations },
    discovery: { address, tokenFile: options.tokenFile, rootCertFile: options.rootCertFile },
    probers,
    ports: PROXY_PORT,
  });
  const { writeAtomically } = await import("../init/write-atomically.ts");
  await writeAtomically(options.bootstrap, printBootstrap(bootstrap)).catch((cause: unknown) => {
    throw new TrysailError("failed-precondition", `${options.bootstrap} cannot be written: ${messageOf(cause)}`, {
      cause,
    });
  });
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
