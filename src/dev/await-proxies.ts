import { Type } from "typebox";
import { Compile } from "typebox/compile";
import type { Clock } from "../platform/clock.ts";
import type { ManifestObject } from "./object-folder.ts";

export interface AwaitProxiesDeps {
  readonly clock: Clock;
  /** Of the control plane's debug pages. */
  readonly url: string;
  /** A bearer token that may read all of them. */
  token(): Promise<string>;
  /** What was written last. */
  readonly mark: ManifestObject;
  /** `POD.NAMESPACE` of those that are to follow, as of now. */
  pods(): readonly string[];
  readonly withinMs: number;
  readonly stop: AbortSignal;
}

const POLL_MS = 50;
const TIMEOUT_MS = 5_000;

const objectsValidator = Compile(
  Type.Array(Type.Object({ kind: Type.String(), namespace: Type.String(), name: Type.String() })),
);
const proxiesValidator = Compile(Type.Array(Type.Object({ nodeId: Type.String(), inSync: Type.Boolean() })));

/**
 * Waits until the control plane has read the mark, and with it what was written before, and until every proxy has taken, or
 * refused, what there is for it then. Resolves with those that have not, and with all of them where the mark is not read;
 * at a stop with none.
 */
export async function awaitProxies(deps: AwaitProxiesDeps): Promise<readonly string[]> {
  const { clock, mark, pods, stop } = deps;
  const deadline = clock.now() + deps.withinMs;
  let isRead = false;
  for (;;) {
    isRead ||= await ask(deps, "objects").then(
      (answer) => holds(answer, mark),
      () => false,
    );
    const behind = isRead ? await ask(deps, "syncz").then((answer) => notInSync(answer, pods()), pods) : pods();
    if (stop.aborted) return [];
    if ((isRead && behind.length === 0) || clock.now() >= deadline) return behind;
    await new Promise<void>((resolve) => clock.after(POLL_MS, resolve));
  }
}

function holds(answer: unknown, { kind, metadata }: ManifestObject): boolean {
  if (!objectsValidator.Check(answer)) return false;
  return answer.some((row) => row.kind === kind && row.namespace === metadata.namespace && row.name === metadata.name);
}

/** A node's id is `sidecar~IP~POD.NAMESPACE~DOMAIN`. */
function notInSync(answer: unknown, pods: readonly string[]): readonly string[] {
  const rows = proxiesValidator.Check(answer) ? answer : [];
  const inSync = new Set(rows.flatMap(({ nodeId, inSync }) => (inSync ? (nodeId.split("~")[2] ?? []) : [])));
  return pods.filter((pod) => !inSync.has(pod));
}

async function ask({ url, token }: AwaitProxiesDeps, page: string): Promise<unknown> {
  const headers = { authorization: `Bearer ${await token()}` };
  const answer = await fetch(`${url}/debug/${page}`, { headers, signal: AbortSignal.timeout(TIMEOUT_MS) });
  const body: unknown = await answer.json();
  if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
  return body;
}
