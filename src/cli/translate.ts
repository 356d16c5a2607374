import { Command } from "commander";
import { stringify } from "yaml";
import { placeholderIdentity } from "../ca/serving/placeholder-identity.ts";
import { loadInjectionConfig } from "../injection/load-injection-config.ts";
import { SYSTEM_NAMESPACE } from "../mesh/mesh-config.ts";
import { createSnapshotBuilder } from "../mesh/snapshot.ts";
import { systemClock } from "../platform/clock.ts";
import { createLog } from "../platform/log.ts";
import { createFileSource } from "../sources/file-source.ts";
import { selfContainedConfig } from "../translate/self-contained.ts";
import { createTranslator } from "../translate/translator.ts";
import { describeProxy } from "./describe-proxy.ts";
import { trustDomainOption } from "./trust-domain-flag.ts";

interface TranslateFlags {
  readonly file: readonly string[];
  readonly proxy: string;
  readonly trustDomain: string;
  readonly injectionConfig?: string;
  readonly output: "json" | "yaml";
}

/** `trysail translate`: prints what a proxy would be sent. */
export function translateCommand(): Command {
  return new Command("translate")
    .description("print one self-contained Envoy configuration of what a proxy would be sent")
    .requiredOption(
      "-f, --file <folder>",
      "manifests; repeat for several, later ones win",
      (folder, before: string[] = []) => [...before, folder],
    )
    .requiredOption("--proxy <pod.namespace>", "a pod, or a workload such as a Deployment whose pods it stands for")
    .addOption(trustDomainOption("trust domain of the mesh's SPIFFE ids"))
    .option(
      "--injection-config <file>",
      "what injected pods get, as trysail serve is given it; by default the defaults",
    )
    .option("-o, --output <format>", "json or yaml", "json")
    .addHelpText(
      "after",
      "\nCheck it with Envoy:  trysail translate -f DIR --proxy POD.NAMESPACE > envoy.json && envoy --mode validate -c envoy.json\nThe certificate in it is made up on the spot: a proxy's real one is sent to the proxy alone.",
    )
    .action(translate);
}

async function translate({ file, proxy, trustDomain, injectionConfig, output }: TranslateFlags): Promise<void> {
  const injection = await loadInjectionConfig(injectionConfig ?? null, SYSTEM_NAMESPACE);
  const source = createFileSource({ dirs: [...file], clock: systemClock, log: createLog("silent") });
  await source.start();
  const mesh = createSnapshotBuilder(trustDomain, { cluster: injection.clusterId }).build(source.current());
  await source.stop();
  const described = describeProxy(mesh, proxy, injection);
  const resources = createTranslator(mesh).translate(described);
  const { name, namespace, ipAddress, type = "sidecar" } = described;
  const nodeId = `${type}~${ipAddress}~${name}.${namespace}~${namespace}.svc.${mesh.config.domain}`;
  const config = selfContainedConfig(resources, nodeId, placeholderIdentity());
  process.stdout.write(output === "yaml" ? stringify(config) : `${JSON.stringify(config, null, 2)}\n`);
}
