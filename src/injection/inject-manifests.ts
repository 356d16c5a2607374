import type { Operation } from "fast-json-patch";
import { type Static, Type } from "typebox";
import { Check } from "typebox/value";
import { type Document, isSeq, parseDocument } from "yaml";
import { messageOf, TrysailError } from "../platform/errors.ts";
import { decide } from "./decide.ts";
import type { InjectionConfig } from "./injection-config.ts";
import { buildPatch } from "./patch.ts";
import { parsePod } from "./review.ts";
import { podTemplatePath } from "./workload-kinds.ts";
import type { Owner } from "./workload-owner.ts";

/** The manifests with sidecars, and every workload that got none with the reason. */
export interface InjectedManifests {
  readonly text: string;
  readonly skipped: readonly { readonly workload: string; readonly message: string }[];
}

/**
 * Adds sidecars to every workload in `text`, any number of YAML or JSON documents, unless it opts out. Documents
 * that stay as they are keep every byte, the others their comments and the order of their keys.
 *
 * @throws TrysailError `invalid-argument` naming the document and what is wrong in it.
 */
export function injectManifests(text: string, defaultNamespace: string, config: InjectionConfig): InjectedManifests {
  const skipped: { workload: string; message: string }[] = [];
  const chunks = splitDocuments(text).map((chunk, index) => {
    try {
      return injectDocument(chunk, defaultNamespace, config, skipped);
    } catch (cause) {
      throw new TrysailError("invalid-argument", `document ${index + 1}: ${messageOf(cause)}`, { cause });
    }
  });
  return { text: chunks.join(""), skipped };
}

/** Each with the `---` line that opens it. Such a line begins a document wherever it stands (YAML 1.2, 9.1.2). */
function splitDocuments(text: string): readonly string[] {
  return text.split(/^(?=---(?:[ \t\r\n]|$))/m);
}

const Manifest = Type.Object({
  apiVersion: Type.String(),
  kind: Type.String(),
  metadata: Type.Optional(
    Type.Object({
      name: Type.Optional(Type.String()),
      generateName: Type.Optional(Type.String()),
      namespace: Type.Optional(Type.String()),
    }),
  ),
});
type Manifest = Static<typeof Manifest>;

function injectDocument(
  chunk: string,
  defaultNamespace: string,
  config: InjectionConfig,
  skipped: { workload: string; message: string }[],
): string {
  const document = parseDocument(chunk);
  const [error] = document.errors;
  if (error) throw error;
  const content: unknown = document.toJS();
  let isChanged = false;
  for (const { path, value } of manifestsIn(content)) {
    const templatePath = podTemplatePath(value.kind);
    if (!templatePath) continue;
    const pod = parsePod(at(value, templatePath));
    const namespace = value.metadata?.namespace ?? defaultNamespace;
    const name = value.metadata?.name ?? value.metadata?.generateName ?? "";
    const decision = decide({ pod, namespace, config, ...ownerOf(value, name) });
    if (!decision.inject) {
      skipped.push({ workload: `${value.kind} ${namespace}/${name}`, message: decision.reason.message });
      continue;
    }
    for (const operation of buildPatch(pod, decision.plan)) {
      carryOut(document, [...path, ...templatePath, ...pointer(operation.path)], operation);
    }
    isChanged = true;
  }
  return isChanged ? print(document, chunk) : chunk;
}

/** The manifest itself, or those in a List. */
function manifestsIn(content: unknown): readonly { path: readonly (string | number)[]; value: Manifest }[] {
  if (!Check(Manifest, content)) return [];
  if (content.kind !== "List") return [{ path: [], value: content }];
  const items = at(content, ["items"]);
  return (Array.isArray(items) ? items : []).flatMap((value: unknown, index) =>
    Check(Manifest, value) ? [{ path: ["items", index], value }] : [],
  );
}

/** A bare pod says itself what made it. */
function ownerOf({ apiVersion, kind }: Manifest, name: string): { owner?: Owner } {
  return kind === "Pod" ? {} : { owner: { apiVersion, kind, name } };
}

function at(value: unknown, path: readonly string[]): unknown {
  return path.reduce<unknown>((inner, key) => {
    return typeof inner === "object" && inner !== null ? Reflect.get(inner, key) : undefined;
  }, value);
}

/** RFC 6901. */
function pointer(path: string): string[] {
  return path
    .split("/")
    .slice(1)
    .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
}

/** Does to the YAML document, comments and all, what the patch does to the pod. */
function carryOut(document: Document, path: readonly (string | number)[], operation: Operation): void {
  if (operation.op !== "add" && operation.op !== "replace") {
    throw new TrysailError("internal", `unexpected patch operation ${operation.op}`);
  }
  const node = document.createNode(operation.value);
  const parent = document.getIn(path.slice(0, -1), true);
  if (isSeq(parent) && operation.op === "add") parent.items.splice(Number(path.at(-1)), 0, node);
  else document.setIn(path, node);
}

/** In the style it was written in. */
function print(document: Document, chunk: string): string {
  if (/^\s*[{[]/.test(chunk)) return `${JSON.stringify(document.toJS(), null, 2)}\n`;
  // A line that was long stays long: folding would change nothing but the diff.
  return document.toString({ lineWidth: 0 });
}
