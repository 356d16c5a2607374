import { randomUUID } from "node:crypto";
import { readFile } from "node:fs/promises";
import { Agent, request } from "node:https";
import jsonPatch from "fast-json-patch";
import { Type } from "typebox";
import { Compile } from "typebox/compile";
import { messageOf, TrysailError } from "../platform/errors.ts";
import { type PodManifest, parsePod } from "./pod.ts";

/** A pod as the webhook left it, and how long the review took. */
export interface Admitted {
  readonly pod: PodManifest;
  readonly reviewMs: number;
  readonly patched: boolean;
  readonly warnings: readonly string[];
}

export interface AdmissionDeps {
  /** Where the webhook listens, such as `https://127.0.0.1:15017/inject`. */
  readonly url: string;
  /** The certificate must carry this name. */
  readonly serverName: string;
  /** PEM file that the webhook's certificate is checked against; read anew for each review. */
  readonly rootFile: string;
}

/**
 * Sends the review an API server would send for a new pod and applies the answer. Rejects with `permission-denied` and
 * the webhook's message where the pod is refused, `unavailable` where the webhook cannot be asked (as with
 * `failurePolicy: Fail`, no pod is made then).
 */
export type Admit = (pod: PodManifest) => Promise<Admitted>;

export interface Admission {
  readonly admit: Admit;
  close(): void;
}

const TIMEOUT_MS = 10_000;
const MAX_ANSWER = 4 << 20;

const Answer = Type.Object({
  response: Type.Object({
    uid: Type.String(),
    allowed: Type.Boolean(),
    patchType: Type.Optional(Type.String()),
    patch: Type.Optional(Type.String()),
    status: Type.Optional(Type.Object({ message: Type.Optional(Type.String()) })),
    warnings: Type.Optional(Type.Array(Type.String())),
  }),
});
const answerValidator = Compile(Answer);

const Operations = Compile(
  Type.Array(
    Type.Union([
      Type.Object({ op: Type.Literal("add"), path: Type.String(), value: Type.Unknown() }),
      Type.Object({ op: Type.Literal("replace"), path: Type.String(), value: Type.Unknown() }),
      Type.Object({ op: Type.Literal("test"), path: Type.String(), value: Type.Unknown() }),
      Type.Object({ op: Type.Literal("remove"), path: Type.String() }),
      Type.Object({ op: Type.Literal("move"), path: Type.String(), from: Type.String() }),
      Type.Object({ op: Type.Literal("copy"), path: Type.String(), from: Type.String() }),
    ]),
  ),
);

export function createAdmission(deps: AdmissionDeps): Admission {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  let turn: Promise<unknown> = Promise.resolve();

  async function review(pod: PodManifest): Promise<Admitted> {
    const uid = randomUUID();
    const body = JSON.stringify(buildReview(pod, uid));
    const ca = await readFile(deps.rootFile).catch((thrown: unknown) => {
      throw new TrysailError("unavailable", `the control plane has no root certificate yet: ${messageOf(thrown)}`);
    });
    const begin = performance.now();
    const text = await post(deps, agent, ca, body);
    const reviewMs = performance.now() - begin;
    return { ...applyAnswer(pod, uid, text), reviewMs };
  }

  return {
    /** One after the other, over one connection: what is measured is a review, not the queue in front of it. */
    admit(pod) {
      const result = turn.then(() => review(pod));
      turn = result.catch(() => undefined);
      return result;
    },
    close: () => agent.destroy(),
  };
}

/** `admission.k8s.io/v1`, CREATE of a pod. */
export function buildReview(pod: PodManifest, uid: string): object {
  const { name, namespace } = pod.metadata;
  return {
    apiVersion: "admission.k8s.io/v1",
    kind: "AdmissionReview",
    request: {
      uid,
      kind: { group: "", version: "v1", kind: "Pod" },
      resource: { group: "", version: "v1", resource: "pods" },
      requestKind: { group: "", version: "v1", kind: "Pod" },
      requestResource: { group: "", version: "v1", resource: "pods" },
      ...(name === undefined ? {} : { name }),
      namespace,
      operation: "CREATE",
      userInfo: {
        username: "system:serviceaccount:kube-system:replicaset-controller",
        groups: ["system:authenticated"],
      },
      object: pod,
      oldObject: null,
      dryRun: false,
      options: { apiVersion: "meta.k8s.io/v1", kind: "CreateOptions" },
    },
  };
}

/** Reads the webhook's answer with the distrust an API server has: right uid, JSONPatch, a valid pod behind it. */
export function applyAnswer(pod: PodManifest, uid: string, text: string): Omit<Admitted, "reviewMs"> {
  const answer = parseJson(text, "the webhook's answer");
  if (!answerValidator.Check(answer)) throw broken("the webhook's answer is no AdmissionReview");
  const { response } = answer;
  if (response.uid !== uid) throw broken("the webhook answered another review");
  if (!response.allowed) {
    throw new TrysailError(
      "permission-denied",
      response.status?.message ?? "the webhook refused the pod without a reason",
    );
  }
  const warnings = response.warnings ?? [];
  if (response.patch === undefined) return { pod, patched: false, warnings };
  if (response.patchType !== "JSONPatch")
    throw broken(`the webhook's patch is a ${response.patchType ?? "patch of no type"}`);
  const operations = parseJson(Buffer.from(response.patch, "base64").toString("utf8"), "the webhook's patch");
  if (!Operations.Check(operations)) throw broken("the webhook's patch is no list of operations");
  try {
    const patched: unknown = jsonPatch.applyPatch<unknown>(pod, operations, true, false).newDocument;
    return { pod: parsePod(patched), patched: true, warnings };
  } catch (thrown) {
    throw broken(`the webhook's patch does not fit the pod: ${messageOf(thrown).split("\n")[0] ?? ""}`);
  }
}

function parseJson(text: string, what: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw broken(`${what} is not JSON`);
  }
}

function broken(message: string): TrysailError {
  return new TrysailError("internal", message);
}

function post(deps: AdmissionDeps, agent: Agent, ca: Buffer, body: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const failed = (error: Error) =>
      reject(new TrysailError("unavailable", `the webhook cannot be asked: ${error.message}`, { cause: error }));
    const call = request(
      deps.url,
      {
        method: "POST",
        agent,
        ca,
        servername: deps.serverName,
        headers: { "content-type": "application/json", "content-length": Buffer.byteLength(body) },
        signal: AbortSignal.timeout(TIMEOUT_MS),
      },
      (response) => {
        const chunks: Buffer[] = [];
        let size = 0;
        response.on("data", (chunk: Buffer) => {
          size += chunk.length;
          if (size > MAX_ANSWER) response.destroy(new Error("the answer is too long"));
          chunks.push(chunk);
        });
        response.on("error", failed);
        response.on("end", () => {
          if (response.statusCode === 200) return resolve(Buffer.concat(chunks).toString("utf8"));
          failed(new Error(`HTTP ${response.statusCode}`));
        });
      },
    );
    call.on("error", failed);
    call.end(body);
  });
}
