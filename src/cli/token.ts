import { Command } from "commander";
import { loadTokenIssuer, TOKEN_AUDIENCE } from "../ca/jwt/token-issuer.ts";
import { systemClock } from "../platform/clock.ts";
import { TrysailError } from "../platform/errors.ts";
import { openStateDir } from "../platform/state-dir.ts";
import { durationOption } from "./duration-flag.ts";

interface TokenOptions {
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly pod?: string;
  readonly podUid?: string;
  readonly audience: string;
  readonly ttl: number;
  readonly stateDir: string;
}

/** `trysail token`: prints a workload token of one machine's own issuer. */
export function tokenCommand(): Command {
  return new Command("token")
    .description("print a workload token (one machine: in a cluster, Kubernetes makes them)")
    .requiredOption("--namespace <namespace>", "namespace of the service account")
    .requiredOption("--service-account <name>", "service account the token is for")
    .option("--pod <name>", "pod to bind the token to")
    .option("--pod-uid <uid>", "uid of that pod")
    .option("--audience <audience>", "who the token is for", TOKEN_AUDIENCE)
    .addOption(durationOption("--ttl <duration>", "how long it is valid, such as 30m or 7d", "12h"))
    .requiredOption("--state-dir <folder>", "state folder of the control plane, which holds the issuer's key")
    .action(printToken);
}

async function printToken(options: TokenOptions): Promise<void> {
  const pod = podOf(options);
  const issuer = await loadTokenIssuer({ state: await openStateDir(options.stateDir), clock: systemClock });
  if (issuer.isNew) process.stderr.write(`trysail: made a new issuer key in ${options.stateDir}\n`);
  const token = await issuer.issue({
    namespace: options.namespace,
    serviceAccount: options.serviceAccount,
    audience: options.audience,
    ttlMs: options.ttl,
    ...(pod === undefined ? {} : { pod }),
  });
  process.stdout.write(`${token}\n`);
}

function podOf({ pod, podUid }: TokenOptions): { name: string; uid: string } | undefined {
  if (pod === undefined && podUid === undefined) return undefined;
  if (pod === undefined || podUid === undefined) {
    throw new TrysailError("invalid-argument", "--pod and --pod-uid go together: a token is bound to one pod");
  }
  return { name: pod, uid: podUid };
}
