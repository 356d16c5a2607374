import { Command } from "commander";
import { messageOf, TrysailError } from "../platform/errors.ts";

/** `trysail inject`: what the webhook would make of manifests, without a cluster. */
export function injectCommand(): Command {
  return new Command("inject")
    .description("print manifests with sidecars added to every workload that does not opt out")
    .requiredOption("-f, --filename <file>", "YAML or JSON, any number of documents; - for standard input")
    .option("-n, --namespace <name>", "for workloads that name none", "default")
    .option("--revision <name>", "the control plane's revision")
    .option("--discovery-address <host:port>", "the control plane that the proxies join")
    .option("--proxy-image <image>", "Envoy's image")
    .option("--init-image <image>", "the image of the init container")
    .action(run);
}

interface InjectOptions {
  readonly filename: string;
  readonly namespace: string;
  readonly revision?: string;
  readonly discoveryAddress?: string;
  readonly proxyImage?: string;
  readonly initImage?: string;
}

async function run({ filename, namespace, ...overrides }: InjectOptions): Promise<void> {
  const text = await read(filename);
  const [{ injectManifests }, { defaultInjectionConfig }] = await Promise.all([
    import("../injection/inject-manifests.ts"),
    import("../injection/injection-config.ts"),
  ]);
  const config = { ...defaultInjectionConfig, ...overrides };
  try {
    const { text: injected, skipped } = injectManifests(text, namespace, config);
    for (const { workload, message } of skipped) process.stderr.write(`${workload} is not injected: ${message}\n`);
    process.stdout.write(injected);
  } catch (cause) {
    if (!(cause instanceof TrysailError)) throw cause;
    throw new TrysailError(cause.code, `${filename === "-" ? "standard input" : filename}: ${cause.message}`, {
      cause,
    });
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
