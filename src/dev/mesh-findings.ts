import { Type } from "typebox";
import { Compile } from "typebox/compile";
import type { Clock } from "../platform/clock.ts";
import type { ShownFinding } from "./finding-lines.ts";

export interface MeshFindingsDeps {
  readonly clock: Clock;
  /** The control plane's page of findings. */
  readonly url: string;
  /** A bearer token that may read all of it. */
  token(): Promise<string>;
  onChange(): void;
}

/** What the control plane finds in the mesh: in its objects, between them, and what proxies refuse. */
export interface MeshFindings {
  /** As of the last answer. */
  current(): readonly ShownFinding[];
  stop(): void;
}

const POLL_MS = 1_000;
const TIMEOUT_MS = 5_000;

const answerValidator = Compile(
  Type.Array(
    Type.Object({
      severity: Type.Union([Type.Literal("error"), Type.Literal("warning"), Type.Literal("info")]),
      message: Type.String(),
      object: Type.Optional(Type.Object({ kind: Type.String(), namespace: Type.String(), name: Type.String() })),
      origin: Type.Optional(Type.Object({ file: Type.String(), document: Type.Number() })),
    }),
  ),
);

/** Asks again and again; while the control plane is away, what it said last stays. */
export function followMeshFindings(deps: MeshFindingsDeps): MeshFindings {
  let current: readonly ShownFinding[] = [];
  let seen = "[]";
  let stopped = false;
  let cancel = (): void => {};

  async function look(): Promise<void> {
    const text = await ask(deps).catch(() => seen);
    if (stopped) return;
    const answer = text === seen ? undefined : parseAnswer(text);
    if (answer !== undefined) {
      seen = text;
      current = answer;
      deps.onChange();
    }
    cancel = deps.clock.after(POLL_MS, () => void look());
  }

  void look();
  return {
    current: () => current,
    stop() {
      stopped = true;
      cancel();
    },
  };
}

async function ask({ url, token }: MeshFindingsDeps): Promise<string> {
  const headers = { authorization: `Bearer ${await token()}` };
  const answer = await fetch(url, { headers, signal: AbortSignal.timeout(TIMEOUT_MS) });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`HTTP ${answer.status}`);
  return text;
}

/** Undefined where it is no list of findings. */
function parseAnswer(text: string): readonly ShownFinding[] | undefined {
  try {
    const answer: unknown = JSON.parse(text);
    return answerValidator.Check(answer) ? answer : undefined;
  } catch {
    return undefined;
  }
}
