import { type TSchema, Type } from "typebox";
import { Compile } from "typebox/compile";
import { parse as parseYaml } from "yaml";
import { checkProxyConfig } from "../mesh/check-proxy-config.ts";
import { conform } from "../mesh/conform.ts";
import { ProxyConfig } from "../mesh/istio/mesh-proxy-config.ts";
import { LabelSelector } from "../mesh/label-selector.ts";
import { messageOf, TrysailError } from "../platform/errors.ts";
import { defaultInjectionConfig, type InjectionConfig } from "./injection-config.ts";
import { PodTemplate } from "./pod-template.ts";

const closed = { additionalProperties: false } as const;
const Names = Type.Array(Type.String({ minLength: 1 }));
const Texts = Type.Record(Type.String(), Type.String());
const Switch = (on: string, off: string) => Type.Union([Type.Literal(on), Type.Literal(off)]);
const Resources = Type.Partial(Type.Object({ requests: Texts, limits: Texts }), closed);

/** What may be set in the file; names and meanings are those of `InjectionConfig`. */
const fields = {
  revision: Type.String({ minLength: 1 }),
  revisionTags: Names,
  policy: Switch("enabled", "disabled"),
  enableNamespacesByDefault: Type.Boolean(),
  neverInjectSelector: Type.Array(LabelSelector),
  alwaysInjectSelector: Type.Array(LabelSelector),
  ignoredNamespaces: Names,
  defaultTemplates: Names,
  templates: Type.Record(Type.String(), PodTemplate),
  aliases: Type.Record(Type.String(), Names),
  injectedLabels: Texts,
  injectedAnnotations: Texts,
  imagePullSecrets: Names,
  imagePullPolicy: Type.Union([Type.Literal("Always"), Type.Literal("IfNotPresent"), Type.Literal("Never")]),
  proxyImage: Type.String({ minLength: 1 }),
  initImage: Type.String({ minLength: 1 }),
  platform: Switch("kubernetes", "openshift"),
  nativeSidecars: Type.Boolean(),
  interceptionBy: Switch("init", "node"),
  interceptionMode: Type.Union([Type.Literal("REDIRECT"), Type.Literal("TPROXY"), Type.Literal("NONE")]),
  discoveryAddress: Type.String({ minLength: 1 }),
  clusterId: Type.String({ minLength: 1 }),
  meshId: Type.String({ minLength: 1 }),
  network: Type.String(),
  tokenAudience: Type.String({ minLength: 1 }),
  tokenLifetimeSeconds: Type.Integer({ minimum: 600 }),
  rootCertConfigMap: Type.String({ minLength: 1 }),
  proxyConfig: ProxyConfig,
  proxyLogLevel: Type.String({ minLength: 1 }),
  proxyComponentLogLevel: Type.String(),
  resources: Resources,
  rewriteAppProbes: Type.Boolean(),
  mergeMetrics: Type.Boolean(),
} satisfies Partial<Record<keyof InjectionConfig, TSchema>>;

const InjectionConfigYaml = Type.Partial(Type.Object(fields), closed);
const validator = Compile(InjectionConfigYaml);

/**
 * The settings in a file, every one that it does not name at its default. The namespaces that are always ignored stay
 * so whatever the file says.
 *
 * @throws TrysailError `invalid-argument` naming the source and the field.
 */
export function parseInjectionConfig(text: string, source: string): InjectionConfig {
  let yaml: unknown;
  try {
    yaml = parseYaml(text, { maxAliasCount: 0 }) ?? {};
  } catch (error) {
    throw new TrysailError("invalid-argument", `${source}: not YAML: ${messageOf(error).split("\n")[0] ?? ""}`);
  }
  const { value, mismatches, unknownFields } = conform(InjectionConfigYaml, yaml);
  const [mismatch] = mismatches;
  const [unknown] = unknownFields;
  if (mismatch) throw new TrysailError("invalid-argument", `${source}: ${mismatch.path} ${mismatch.reason}`);
  if (unknown) throw new TrysailError("invalid-argument", `${source}: there is no setting ${unknown}`);
  // Nulls in templates take fields away, so the templates are taken as they were written.
  if (!validator.Check(value) || !validator.Check(yaml)) {
    throw new TrysailError("invalid-argument", `${source}: not settings of injection`);
  }
  const [problem] = checkProxyConfig(yaml.proxyConfig ?? {});
  if (problem) throw new TrysailError("invalid-argument", `${source}: proxyConfig.${problem.path} ${problem.reason}`);
  assertNoGoTemplates(yaml.templates ?? {}, source);
  const ignored = [...defaultInjectionConfig.ignoredNamespaces, ...(yaml.ignoredNamespaces ?? [])];
  return Object.assign({}, defaultInjectionConfig, yaml, { ignoredNamespaces: [...new Set(ignored)] });
}

/** A template written for Istio would otherwise put its braces into pods. */
function assertNoGoTemplates(templates: Readonly<Record<string, PodTemplate>>, source: string): void {
  for (const [name, template] of Object.entries(templates)) {
    if (!JSON.stringify(template).includes("{{")) continue;
    const message = `${source}: templates.${name} holds {{…}}, and templates are data here: Go templates are not evaluated`;
    throw new TrysailError("invalid-argument", message);
  }
}
