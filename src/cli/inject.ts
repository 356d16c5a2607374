import { Command } from "commander";
import { parse } from "yaml";
import type { ManifestDecision } from "../injection/inject-manifests.ts";
import type { InjectionConfig } from "../injection/injection-config.ts";
import type { OperatorSettings } from "../injection/operator-settings.ts";
import { messageOf, TrysailError } from "../platform/errors.ts";
import { printable } from "../platform/printable.ts";
import { formatTable } from "./table.ts";

/** `trysail inject`: what the webhook would make of manifests, without a cluster. */
export function injectCommand(): Command {
  return new Command("inject")
    .description("print manifests with sidecars added to every workload that does not opt out")
    .requiredOption("-f, --filename <file>", "YAML or JSON, any number of documents; - for standard input")
    .option("-n, --namespace <name>", "for workloads that name none", "default")
    .option("--explain", "print what is decided about each object, and why, instead of the manifests")
    .option("--revision <name>", "the control plane's revision")
    .option(
      "--injection-config <file>",
      "what injected pods get, as trysail serve is given it; by default the defaults",
    )
    .option("--mesh-config <file>", "a MeshConfig whose defaultConfig the proxies start from")
    .option("--values <file>", "the values that Istio's chart would be installed with")
    .option("--discovery-address <host:port>", "the control plane that the proxies join")
    .option("--proxy-image <image>", "Envoy's image")
    .option("--init-image <image>", "the image of the init container")
    .action(run);
}

interface InjectOptions {
  readonly filename: string;
  readonly namespace: string;
  readonly explain?: boolean;
  readonly revision?: string;
  readonly injectionConfig?: string;
  readonly meshConfig?: string;
  readonly values?: string;
  readonly discoveryAddress?: string;
  readonly proxyImage?: string;
  readonly initImage?: string;
}

/** Exits with 1 where an object cannot be injected; then no manifests are printed. */
async function run(options: InjectOptions): Promise<void> {
  const { filename, namespace, explain, injectionConfig, meshConfig, values, ...overrides } = options;
  const text = await read(filename);
  const { injectManifests } = await import("../injection/inject-manifests.ts");
  const settings = await readSettings(options);
  const { discoveryAddress } = overrides;
  const proxyConfig = { ...settings.proxyConfig, ...(discoveryAddress === undefined ? {} : { discoveryAddress }) };
  const config = { ...settings, ...overrides, proxyConfig };
  const source = filename === "-" ? "standard input" : filename;
  const { text: injected, decisions } = named(source, () => injectManifests(text, namespace, config));
  const refused = decisions.filter(({ outcome }) => outcome === "refused");
  if (explain) {
    process.stdout.write(`${explanation(decisions)}\n`);
    if (refused.length > 0) process.exitCode = 1;
    return;
  }
  if (refused.length > 0) {
    const lines = refused.map(({ document, object, message }) => `document ${document}: ${object}: ${message}`);
    throw new TrysailError("invalid-argument", `${source}: ${lines.join("; ")}`);
  }
  for (const { object, outcome, message } of decisions) {
    if (outcome === "skipped") process.stderr.write(`${printable(`${object} is not injected: ${message}`)}\n`);
    else if (message !== "") process.stderr.write(`${printable(`${object}: ${message}`)}\n`);
  }
  process.stdout.write(injected);
}

function explanation(decisions: readonly ManifestDecision[]): string {
  const rows = decisions.map(({ document, object, outcome, code, message }) => [
    String(document),
    object,
    outcome,
    code,
    message,
  ]);
  return formatTable([["DOCUMENT", "OBJECT", "DECISION", "REASON", "MESSAGE"], ...rows]);
}

/** The operator's file, or the defaults, under the others that were named; the values win, as they do where Istio is installed. */
async function readSettings({ injectionConfig, meshConfig, values }: InjectOptions): Promise<InjectionConfig> {
  const [config, { readMeshSettings }, { readInjectorValues }, { mergeProxyConfig }] = await Promise.all([
    readOperatorFile(injectionConfig),
    import("../injection/operator-settings.ts"),
    import("../injection/injector-values.ts"),
    import("../injection/proxy-config.ts"),
  ]);
  const read = async (filename: string | undefined, reader: (file: unknown, source: string) => OperatorSettings) =>
    filename === undefined ? NO_SETTINGS : reader(await readYaml(filename), filename);
  const mesh = await read(meshConfig, (file, source) => readMeshSettings(meshConfigIn(file, source), source));
  const chart = await read(values, readInjectorValues);
  for (const warning of [...mesh.warnings, ...chart.warnings]) process.stderr.write(`${warning}\n`);
  const proxyConfig = [mesh, chart].reduce(
    (under, { config: { proxyConfig: over = {} } }) => mergeProxyConfig(under, over),
    config.proxyConfig,
  );
  return { ...config, ...mesh.config, ...chart.config, proxyConfig };
}

/** What reads such a file takes as long to load as the rest of the command. */
async function readOperatorFile(file: string | undefined): Promise<InjectionConfig> {
  if (file === undefined) return (await import("../injection/injection-config.ts")).defaultInjectionConfig;
  const { loadInjectionConfig } = await import("../injection/load-injection-config.ts");
  const { SYSTEM_NAMESPACE } = await import("../mesh/mesh-config.ts");
  return loadInjectionConfig(file, SYSTEM_NAMESPACE);
}

const NO_SETTINGS: OperatorSettings = { config: {}, warnings: [] };

/** The file itself, or what a ConfigMap holds of it, as a cluster keeps it. */
function meshConfigIn(file: unknown, source: string): unknown {
  const isConfigMap = typeof file === "object" && file !== null && "kind" in file && file.kind === "ConfigMap";
  if (!isConfigMap || !("data" in file) || typeof file.data !== "object" || file.data === null) return file;
  if (!("mesh" in file.data) || typeof file.data.mesh !== "string") {
    throw new TrysailError("invalid-argument", `${source}: the ConfigMap has no data.mesh`);
  }
  return parseYaml(file.data.mesh, source);
}

async function readYaml(filename: string): Promise<unknown> {
  return parseYaml(await read(filename), filename);
}

function parseYaml(text: string, source: string): unknown {
  return named(source, () => {
    try {
      return parse(text, { merge: true });
    } catch (cause) {
      throw new TrysailError("invalid-argument", `not YAML: ${messageOf(cause).split("\n")[0] ?? ""}`, { cause });
    }
  });
}

function named<T>(source: string, act: () => T): T {
  try {
    return act();
  } catch (cause) {
    if (!(cause instanceof TrysailError)) throw cause;
    throw new TrysailError(cause.code, `${source}: ${cause.message}`, { cause });
  }
}

async function read(filename: string): Promise<string> {
  if (filename === "-") {
    const { text } = await import("node:stream/consumers");
    return text(process.stdin);
  }
  const { readFile } = await import("node:fs/promises");
  return readFile(filename, "utf8").catch((cause: unknown) => {
    throw new TrysailError("not-found", `${filename} cannot be read: ${messageOf(cause)}`, { cause });
  });
}
