import { Command } from "commander";
import { parseServeConfig, type ServeFlags } from "../config.ts";
import { startControlPlane } from "../main.ts";
import { DEFAULT_CONNECTION_LIMITS } from "../platform/connection-guard.ts";
import { createLog } from "../platform/log.ts";
import { countOption } from "./count-flag.ts";
import { durationOption } from "./duration-flag.ts";
import { trustDomainOption } from "./trust-domain-flag.ts";

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
    .option(
      "--kubeconfig <file>",
      "serve a cluster instead, by the file's current context; in a pod its own by default",
    )
    .option("--state-dir <folder>", "where one machine keeps the mesh's keys (mode 0700)")
    .option("--grpc-addr <host:port>", "TLS: ADS, SDS", ":15012")
    .option("--https-addr <host:port>", "TLS: admission webhooks", ":15017")
    .option("--plaintext-addr <host:port>", "ADS without TLS or identity, for tests (off by default)")
    .option("--monitoring-addr <host:port>", "/metrics", ":15014")
    .option("--http-addr <host:port>", "/ready and /debug", "127.0.0.1:8080")
    .addOption(
      countOption(
        "--max-connections <count>",
        "connections at one time on each of the two TLS ports",
        DEFAULT_CONNECTION_LIMITS.total,
      ),
    )
    .addOption(
      countOption(
        "--max-connections-per-address <count>",
        "of these, from one address",
        DEFAULT_CONNECTION_LIMITS.perAddress,
      ),
    )
    .addOption(trustDomainOption("trust domain of the mesh's SPIFFE ids"))
    .addOption(durationOption("--workload-cert-ttl <duration>", "life of a workload's certificate", "24h"))
    .option(
      "--authenticator <kind>",
      "a proof to take: mesh-token, client-certificate, token-review, kubernetes or oidc=URL[,ca=FILE]; repeat, in order",
      collect,
      [],
    )
    .option(
      "--token-audience <name>",
      "audience that tokens must be for (istio-ca by default); repeatable",
      collect,
      [],
    )
    .option("--trusted-node-account <namespace/name>", "node agent that may impersonate; repeatable", collect, [])
    .option(
      "--ca-dir <folder>",
      "key and certificates of a plugged-in authority, followed live; by default a root of its own",
    )
    .option(
      "--ca-signer <name>",
      "a signer of certificates.k8s.io that signs everything, in place of an authority here",
    )
    .option("--ca-signer-roots <where>", "its roots: a file, or configmaps/NAME or secrets/NAME beside this program")
    .option("--ca-signer-approve", "approve what is asked of it")
    .option("--csr-signer <name>", "sign CertificateSigningRequests of this signerName, such as trysail.dev/workload")
    .option(
      "--csr-approval <who>",
      "own-identity: a service account's request for its own identity is approved and all else denied; manual: others decide",
      "own-identity",
    )
    .addOption(durationOption("--root-ttl <duration>", "life of a root that the mesh makes itself", "3650d"))
    .option("--istio-root-cert", "keep the trust bundle in each namespace's istio-ca-root-cert as well")
    .addOption(durationOption("--root-propagation <duration>", "time a new root is published before it signs", "24h"))
    .option("--serving-name <name>", "another DNS name or IP address of this control plane; repeatable", collect, [])
    .option("--no-status", "write no status on objects: of several control planes for one cluster, one should")
    .option(
      "--multi-cluster",
      "read the endpoints of the clusters that Secrets labelled istio/multiCluster=true name, beside this program",
    )
    .option("--injection-config <file>", "what injected pods get, as docs/injection.md says; by default the defaults")
    .option("--log-level <level>", "debug, info, warn, error or silent", "info")
    .action(serve);
}

async function serve(flags: ServeFlags): Promise<void> {
  const config = parseServeConfig(flags, process.env);
  const log = createLog(config.logLevel);
  // From the first moment on: a start may wait for long, and nothing else ends the first process of a container.
  const signalled = new Promise<string>((resolve) => {
    for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, resolve);
  });
  const controlPlane = await Promise.race([startControlPlane(config, log), signalled.then(() => null)]);
  const signal = await signalled;
  log.info({ signal }, "stopping");
  // Before it is ready it serves nobody, and what it waits for would keep it.
  if (controlPlane === null) process.exit();
  await controlPlane.stop();
}
