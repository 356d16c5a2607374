import { readFile } from "node:fs/promises";
import type { Command } from "commander";
import { loadTokenIssuer, TOKEN_AUDIENCE } from "../ca/jwt/token-issuer.ts";
import { systemClock } from "../platform/clock.ts";
import { messageOf, TrysailError } from "../platform/errors.ts";
import { openExistingStateDir } from "../platform/state-dir.ts";

/** Which control plane is asked, and who asks. */
export interface ServerFlags {
  readonly server: string;
  readonly tokenFile?: string;
  readonly stateDir?: string;
}

const ANSWER_MS = 30_000;
const TOKEN_TTL_MS = 60_000;
/** Of the token that is made for one call on one machine; its control plane lets this namespace in. */
const ADMIN = { namespace: "trysail-system", serviceAccount: "trysail" };

export function withServerFlags(command: Command): Command {
  return command
    .option("--server <url>", "the control plane's --http-addr", "http://127.0.0.1:8080")
    .option("--token-file <file>", "a token of a workload in trysail-system")
    .option("--state-dir <folder>", "one machine: the control plane's state folder, in place of a token");
}

/**
 * What a running control plane answers, as JSON; with a `body` the request is a POST. Rejects with `unavailable`, and
 * `hint` behind the reason, where nothing answers, and with `failed-precondition` where it refuses.
 */
export async function callServer(
  path: string,
  { server, ...flags }: ServerFlags,
  { body, hint = "" }: { readonly body?: object; readonly hint?: string } = {},
): Promise<unknown> {
  const headers = { authorization: `Bearer ${await tokenOf(flags)}` };
  const init =
    body === undefined
      ? { headers }
      : { method: "POST", headers: { ...headers, "content-type": "application/json" }, body: JSON.stringify(body) };
  const url = urlOf(path, server);
  const response = await fetch(url, { ...init, signal: AbortSignal.timeout(ANSWER_MS) }).catch((error: unknown) => {
    const reason = error instanceof Error && error.cause !== undefined ? messageOf(error.cause) : messageOf(error);
    throw new TrysailError("unavailable", `nothing answers at ${server}: ${reason}${hint}`);
  });
  const text = await response.text();
  if (!response.ok)
    throw new TrysailError("failed-precondition", errorIn(text) ?? `${url} answered ${response.status}`);
  return JSON.parse(text);
}

function urlOf(path: string, server: string): URL {
  const base = URL.canParse(server) ? new URL(server) : null;
  if (base?.protocol === "http:" || base?.protocol === "https:") return new URL(path, base);
  throw new TrysailError("invalid-argument", `--server ${server} is no URL such as http://127.0.0.1:8080`);
}

function errorIn(text: string): string | undefined {
  try {
    const answer: unknown = JSON.parse(text);
    return typeof answer === "object" && answer !== null && "error" in answer ? String(answer.error) : undefined;
  } catch {
    return undefined;
  }
}

async function tokenOf({ tokenFile, stateDir }: Omit<ServerFlags, "server">): Promise<string> {
  if (tokenFile !== undefined) return readToken(tokenFile);
  if (stateDir === undefined) {
    throw new TrysailError("invalid-argument", "name a --token-file, or on one machine the --state-dir");
  }
  const state = await openExistingStateDir(stateDir);
  // A key made here would be one that no control plane knows.
  if ((await state.listState("issuer")).length === 0) {
    throw new TrysailError("not-found", `no token issuer's key in ${state.path}: trysail serve makes it`);
  }
  const issuer = await loadTokenIssuer({ state, clock: systemClock });
  return issuer.issue({ ...ADMIN, audience: TOKEN_AUDIENCE, ttlMs: TOKEN_TTL_MS });
}

async function readToken(file: string): Promise<string> {
  const token = await readFile(file, "utf8").catch((error: unknown) => {
    throw new TrysailError("invalid-argument", `--token-file cannot be read: ${messageOf(error)}`);
  });
  return token.trim();
}
