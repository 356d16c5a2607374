import { Command } from "commander";
import { parseServeConfig, type ServeFlags } from "../config.ts";
import { startControlPlane } from "../main.ts";
import { createLog } from "../platform/log.ts";
import { durationOption } from "./duration-flag.ts";

const collect = (value: string, before: string[]) => [...before, value];

/** `trysail serve`: the control plane, until a signal ends it. */
export function serveCommand(): Command {
  return new Command("serve")
    .description("run the control plane: webhook, certificate authority and xDS")
    .option(
      "--config-dir <folder>",
      "manifests to serve, followed live; repeat for several, later ones win",
      collect,
      [],
    )
    .option("--state-dir <folder>", "where one machine keeps the mesh's keys (mode 0700)")
    .option("--grpc-addr <host:port>", "TLS: ADS, SDS", ":15012")
    .option("--https-addr <host:port>", "TLS: admission webhooks", ":15017")
    .option("--plaintext-addr <host:port>", "ADS without TLS or identity, for tests (off by default)")
    .option("--monitoring-addr <host:port>", "/metrics", ":15014")
    .option("--http-addr <host:port>", "/ready and /debug", "127.0.0.1:8080")
    .option("--trust-domain <name>", "trust domain of the mesh's SPIFFE ids", "cluster.local")
    .addOption(durationOption("--workload-cert-ttl <duration>", "life of a workload's certificate", "24h"))
    .option("--serving-name <name>", "another DNS name or IP address of this control plane; repeatable", collect, [])
    .option("--injection-config <file>", "what injected pods get, as docs/injection.md says; by default the defaults")
    .option("--log-level <level>", "debug, info, warn, error or silent", "info")
    .action(serve);
}

async function serve(flags: ServeFlags): Promise<void> {
  const config = parseServeConfig(flags);
  const log = createLog(config.logLevel);
  const controlPlane = await startControlPlane(config, log);
  const signal = await new Promise<string>((resolve) => {
    for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, resolve);
  });
  log.info({ signal }, "stopping");
  await controlPlane.stop();
}
