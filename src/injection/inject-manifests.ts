import { isDeepStrictEqual } from "node:util";
import { type Static, Type } from "typebox";
import { Check } from "typebox/value";
import { Document, LineCounter, parseDocument } from "yaml";
import { isRecord } from "../mesh/conform.ts";
import { messageOf, TrysailError } from "../platform/errors.ts";
import { applyPlan } from "./apply.ts";
import { decide, type SkipReasonCode } from "./decide.ts";
import type { InjectionConfig } from "./injection-config.ts";
import { withKnativeNames } from "./knative-names.ts";
import { formattingOf } from "./manifest-formatting.ts";
import { manifestTags } from "./manifest-tags.ts";
import { parsePod } from "./review.ts";
import { updateNode } from "./update-node.ts";
import { isKnative, podTemplatePath } from "./workload-kinds.ts";
import type { Owner } from "./workload-owner.ts";

/** The manifests with sidecars, and what was decided about every object in them, in their order. */
export interface InjectedManifests {
  readonly text: string;
  readonly decisions: readonly ManifestDecision[];
}

export interface ManifestDecision {
  /** Counted from 1. */
  readonly document: number;
  /** Such as `Deployment shop/cart`. */
  readonly object: string;
  /** `ignored`: it makes no pods. `refused`: it is to be injected and cannot be. */
  readonly outcome: "injected" | "skipped" | "ignored" | "refused";
  /** Stable: the reason's code, or the outcome where there is no other. */
  readonly code: SkipReasonCode | "injected" | "refused" | "makes-no-pods" | "no-template";
  /** One sentence; empty where there is nothing to add. */
  readonly message: string;
}

/**
 * Adds sidecars to every workload in `text`, any number of YAML or JSON documents, unless it opts out. Documents
 * that stay as they are keep every byte, the others their comments and the order of their keys.
 *
 * @throws TrysailError `invalid-argument` naming a document that cannot be read.
 */
export function injectManifests(text: string, defaultNamespace: string, config: InjectionConfig): InjectedManifests {
  const decisions: ManifestDecision[] = [];
  const chunks = splitDocuments(text).map((chunk, index) => {
    try {
      const number = index + 1;
      return injectDocument(chunk, defaultNamespace, config, (decision) =>
        decisions.push({ document: number, ...decision }),
      );
    } catch (cause) {
      throw new TrysailError("invalid-argument", `document ${index + 1}: ${messageOf(cause)}`, { cause });
    }
  });
  return { text: chunks.join(""), decisions };
}

/** Each with the `---` line that opens it. Such a line begins a document wherever it stands (YAML 1.2, 9.1.2). */
function splitDocuments(text: string): readonly string[] {
  return text.split(/^(?=---(?:[ \t\r\n]|$))/m);
}

const orNull = <T extends Parameters<typeof Type.Union>[0][number]>(type: T) =>
  Type.Optional(Type.Union([type, Type.Null()]));
const Manifest = Type.Object({
  apiVersion: Type.String(),
  kind: Type.String(),
  metadata: orNull(
    Type.Object({
      name: orNull(Type.String()),
      generateName: orNull(Type.String()),
      namespace: orNull(Type.String()),
    }),
  ),
});
type Manifest = Static<typeof Manifest>;
type Report = (decision: Omit<ManifestDecision, "document">) => void;

function injectDocument(chunk: string, defaultNamespace: string, config: InjectionConfig, report: Report): string {
  const lines = new LineCounter();
  // The library's prettier messages quote the document, which may hold a Secret.
  const document = parseDocument(chunk, { customTags: manifestTags, prettyErrors: false, lineCounter: lines });
  const [error] = document.errors;
  if (error) throw new TrysailError("invalid-argument", `line ${lines.linePos(error.pos[0]).line}: ${error.message}`);
  const content: unknown = document.toJS();
  const injected = injectValue(content, defaultNamespace, config, report);
  return injected === content ? chunk : print(document, injected, chunk);
}

/** The same value where nothing in it is injected. */
function injectValue(value: unknown, defaultNamespace: string, config: InjectionConfig, report: Report): unknown {
  if (!Check(Manifest, value)) return value;
  if (value.kind === "List") {
    const items = at(value, ["items"]);
    if (!Array.isArray(items)) return value;
    const injected = items.map((item: unknown) => injectValue(item, defaultNamespace, config, report));
    return injected.every((item, index) => item === items[index]) ? value : { ...value, items: injected };
  }
  const namespace = value.metadata?.namespace || defaultNamespace;
  const name = value.metadata?.name ?? value.metadata?.generateName ?? "";
  const object = `${value.kind} ${namespace}/${name}`;
  const path = podTemplatePath(value.apiVersion, value.kind);
  if (path === undefined) {
    report({ object, outcome: "ignored", code: "makes-no-pods", message: "" });
    return value;
  }
  const template = at(value, path);
  if (template === undefined || template === null) {
    const message = `It has no ${path.join(".")}: its pods are described elsewhere.`;
    report({ object, outcome: "skipped", code: "no-template", message });
    return value;
  }
  try {
    const pod = parsePod(isKnative(value.apiVersion) ? withKnativeNames(template) : template);
    const decision = decide({ pod, namespace, config, ...ownerOf(value, name) });
    if (!decision.inject) {
      report({ object, outcome: "skipped", ...decision.reason });
      return value;
    }
    const injected = withValueAt(value, path, applyPlan(pod, decision.plan));
    report({ object, outcome: "injected", code: "injected", message: decision.plan.warnings.join(" ") });
    return injected;
  } catch (cause) {
    if (!(cause instanceof TrysailError) || cause.code !== "invalid-argument") throw cause;
    report({ object, outcome: "refused", code: "refused", message: cause.message });
    return value;
  }
}

/** A bare pod says itself what made it. */
function ownerOf({ apiVersion, kind }: Manifest, name: string): { owner?: Owner } {
  return kind === "Pod" ? {} : { owner: { apiVersion, kind, name } };
}

function at(value: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>((inner, key) => {
    return isRecord(inner) && Object.hasOwn(inner, key) ? inner[key] : undefined;
  }, value);
}

function withValueAt(value: unknown, [key, ...rest]: readonly string[], inner: unknown): unknown {
  if (key === undefined) return inner;
  const fields = isRecord(value) ? value : {};
  return { ...fields, [key]: withValueAt(fields[key], rest, inner) };
}

/** In the style it was written in. */
function print(document: Document, content: unknown, chunk: string): string {
  const json = jsonIndent(chunk);
  if (json !== null) return `${JSON.stringify(content, null, json)}\n`;
  const format = formattingOf(chunk);
  document.contents = updateNode(document, document.contents, content);
  const printed = document.toString(format);
  const reread: unknown = parseDocument(printed, { customTags: manifestTags }).toJS();
  if (isDeepStrictEqual(reread, content)) return printed;
  // An anchor that others refer to cannot be changed for one of them: written out, all say what they should.
  const plain = new Document(content, { aliasDuplicateObjects: false, customTags: manifestTags }).toString(format);
  return `${/^---.*(?:\r?\n|$)/.exec(chunk)?.[0] ?? ""}${plain}`;
}

/** The indentation of a JSON document; null for YAML, even where that is written in braces. */
function jsonIndent(chunk: string): number | null {
  try {
    JSON.parse(chunk);
  } catch {
    return null;
  }
  return /^\s*[[{]\r?\n( *)/.exec(chunk)?.[1]?.length ?? 2;
}
