import { type Static, type TSchema, Type } from "typebox";
import { Check } from "typebox/value";
import { parse as parseYaml } from "yaml";
import { checkProxyConfig } from "../mesh/check-proxy-config.ts";
import { isRecord, joinPath } from "../mesh/conform.ts";
import type { ProxyConfig } from "../mesh/istio/mesh-proxy-config.ts";
import { LabelSelector } from "../mesh/label-selector.ts";
import { messageOf, TrysailError } from "../platform/errors.ts";
import type { InjectionConfig } from "./injection-config.ts";
import { parsePorts, parsePortsOrAll, parseRanges, parseRangesOrAll } from "./interception-lists.ts";
import { given, type OperatorSettings, readMeshSettings, readSettings } from "./operator-settings.ts";
import { PodTemplate } from "./pod-template.ts";
import { mergeProxyConfig } from "./proxy-config.ts";

const some = <T extends Record<string, TSchema>>(fields: T) =>
  Type.Optional(Type.Partial(Type.Object(fields, { additionalProperties: false }), { additionalProperties: false }));
const Text = Type.String();
/** As Helm has them: `80,443`, or a number where there is only one. */
const List = Type.Union([Type.String(), Type.Integer()]);
const Amounts = Type.Record(Type.String(), Type.Union([Type.String(), Type.Integer()]));

const Seconds = Type.Integer({ minimum: 0 });

const PullPolicy = Type.Union([
  Type.Literal(""),
  Type.Literal("Always"),
  Type.Literal("IfNotPresent"),
  Type.Literal("Never"),
]);

/** The part of the values of Istio's chart that says what is injected. */
const InjectorValues = Type.Object(
  {
    revision: Type.Optional(Text),
    revisionTags: Type.Optional(Type.Array(Text)),
    meshConfig: Type.Optional(Type.Unknown()),
    pilot: some({
      cni: some({ enabled: Type.Boolean() }),
      env: some({ ENABLE_NATIVE_SIDECARS: Type.Union([Type.Boolean(), Text]) }),
    }),
    global: some({
      imagePullPolicy: PullPolicy,
      imagePullSecrets: Type.Array(Text),
      meshID: Text,
      network: Text,
      platform: Text,
      variant: Text,
      multiCluster: some({ clusterName: Text }),
      sds: some({ token: some({ aud: Text }) }),
      istioNamespace: Text,
      tracer: some({ zipkin: some({ address: Text }), datadog: some({ address: Text }) }),
      proxy: some({
        autoInject: Type.Union([Type.Literal("enabled"), Type.Literal("disabled")]),
        image: Text,
        tracer: Text,
        logLevel: Text,
        componentLogLevel: Text,
        holdApplicationUntilProxyStarts: Type.Boolean(),
        readinessInitialDelaySeconds: Seconds,
        readinessPeriodSeconds: Seconds,
        readinessFailureThreshold: Seconds,
        includeIPRanges: Text,
        excludeIPRanges: Text,
        includeInboundPorts: List,
        excludeInboundPorts: List,
        includeOutboundPorts: List,
        excludeOutboundPorts: List,
        resources: some({ requests: Amounts, limits: Amounts }),
      }),
      proxy_init: some({ image: Text }),
    }),
    sidecarInjectorWebhook: some({
      enableNamespacesByDefault: Type.Boolean(),
      rewriteAppHTTPProbe: Type.Boolean(),
      injectedAnnotations: Type.Record(Type.String(), Type.String()),
      neverInjectSelector: Type.Array(LabelSelector),
      alwaysInjectSelector: Type.Array(LabelSelector),
      defaultTemplates: Type.Array(Text),
      templates: Type.Record(Type.String(), Type.Unknown()),
    }),
  },
  { additionalProperties: false },
);
type InjectorValues = Static<typeof InjectorValues>;

/**
 * The values that Istio's chart would be installed with. Images count where they are whole names: Istio's short ones
 * mean images of its own, and here the sidecar is a stock Envoy.
 *
 * @throws TrysailError `invalid-argument` naming `source` and the field.
 */
export function readInjectorValues(value: unknown, source: string): OperatorSettings {
  const { value: values, unknownFields } = readSettings(InjectorValues, value, source);
  assertNoGoTemplates(values, source, "");
  const { global, pilot, sidecarInjectorWebhook: webhook } = values;
  const proxy = global?.proxy;
  const mesh =
    values.meshConfig === undefined ? undefined : readMeshSettings(values.meshConfig, `${source}: meshConfig`);
  const proxyConfig = mergeProxyConfig(proxyConfigOf(values), mesh?.config.proxyConfig ?? {});
  const [problem] = checkProxyConfig(proxyConfig);
  if (problem) {
    throw new TrysailError("invalid-argument", `${source}: the proxies' ${problem.path} ${problem.reason}`);
  }
  const config = given<InjectionConfig>({
    ...mesh?.config,
    proxyConfig: Object.keys(proxyConfig).length === 0 ? undefined : proxyConfig,
    revision: values.revision || undefined,
    revisionTags: values.revisionTags,
    policy: proxy?.autoInject,
    imagePullPolicy: global?.imagePullPolicy,
    imagePullSecrets: global?.imagePullSecrets,
    meshId: global?.meshID || undefined,
    network: global?.network,
    platform: global?.platform === "openshift" ? "openshift" : undefined,
    clusterId: global?.multiCluster?.clusterName || undefined,
    tokenAudience: global?.sds?.token?.aud || undefined,
    interceptionBy: pilot?.cni?.enabled === true ? "node" : undefined,
    nativeSidecars: asSwitch(pilot?.env?.ENABLE_NATIVE_SIDECARS),
    proxyImage: wholeImage(proxy?.image),
    initImage: wholeImage(global?.proxy_init?.image),
    proxyLogLevel: proxy?.logLevel,
    proxyComponentLogLevel: proxy?.componentLogLevel,
    resources: proxy?.resources && {
      requests: asTexts(proxy.resources.requests),
      limits: asTexts(proxy.resources.limits),
    },
    interception: interceptionOf(proxy, source),
    enableNamespacesByDefault: webhook?.enableNamespacesByDefault,
    rewriteAppProbes: webhook?.rewriteAppHTTPProbe,
    injectedAnnotations: webhook?.injectedAnnotations,
    neverInjectSelector: webhook?.neverInjectSelector,
    alwaysInjectSelector: webhook?.alwaysInjectSelector,
    defaultTemplates: webhook?.defaultTemplates?.length ? webhook.defaultTemplates : undefined,
    templates: webhook?.templates && readTemplates(webhook.templates, source),
  });
  return {
    config,
    warnings: [
      ...unknownFields.map((field) => `${source}: ${field} has no effect on what is injected here`),
      ...(mesh?.warnings ?? []),
    ],
  };
}

/** What the chart writes into the mesh's defaultConfig, where that says nothing itself. */
function proxyConfigOf({ global }: InjectorValues): ProxyConfig {
  const proxy = global?.proxy;
  const readinessProbe = given({
    initialDelaySeconds: proxy?.readinessInitialDelaySeconds,
    periodSeconds: proxy?.readinessPeriodSeconds,
    failureThreshold: proxy?.readinessFailureThreshold,
  });
  const tracing = tracingOf(global);
  return given<ProxyConfig>({
    holdApplicationUntilProxyStarts: proxy?.holdApplicationUntilProxyStarts,
    image: global?.variant ? { imageType: global.variant } : undefined,
    readinessProbe: Object.keys(readinessProbe).length === 0 ? undefined : readinessProbe,
    tracing,
  });
}

/** Of the tracers' addresses, which the chart fills in, the one counts that `proxy.tracer` names. */
function tracingOf(global: InjectorValues["global"]): ProxyConfig["tracing"] {
  const { zipkin, datadog } = global?.tracer ?? {};
  switch (global?.proxy?.tracer) {
    case "zipkin":
      return { zipkin: { address: zipkin?.address || `zipkin.${global.istioNamespace ?? "istio-system"}:9411` } };
    case "datadog":
      return datadog?.address ? { datadog: { address: datadog.address } } : undefined;
    default:
      return undefined;
  }
}

/** The chart has templates as texts, which Go fills in; here they are data, so a text must be plain YAML. */
function readTemplates(templates: Readonly<Record<string, unknown>>, source: string): Record<string, PodTemplate> {
  return Object.fromEntries(
    Object.entries(templates).map(([name, template]) => {
      const field = joinPath("sidecarInjectorWebhook.templates", name);
      const value = typeof template === "string" ? parseTemplate(template, `${source}: ${field}`) : template;
      if (Check(PodTemplate, value)) return [name, value];
      throw new TrysailError("invalid-argument", `${source}: ${field} is not a part of a pod`);
    }),
  );
}

function parseTemplate(text: string, source: string): unknown {
  try {
    return parseYaml(text, { maxAliasCount: 0 });
  } catch (cause) {
    const message = `${source}: not YAML: ${messageOf(cause).split("\n")[0] ?? ""}`;
    throw new TrysailError("invalid-argument", message, { cause });
  }
}

/** Nothing here would fill them in, and the braces would end up in pods. */
function assertNoGoTemplates(value: unknown, source: string, field: string): void {
  if (typeof value === "string" && value.includes("{{")) {
    const message = `${source}: ${field} holds {{…}}: Go templates are not evaluated here, write what it should become`;
    throw new TrysailError("invalid-argument", message);
  }
  if (Array.isArray(value)) {
    for (const [index, item] of value.entries()) assertNoGoTemplates(item, source, `${field}[${index}]`);
  } else if (isRecord(value)) {
    for (const [name, inner] of Object.entries(value)) assertNoGoTemplates(inner, source, joinPath(field, name));
  }
}

/** As Go reads it from an environment variable. */
function asSwitch(value: string | boolean | undefined): boolean | undefined {
  return value === undefined || value === "" ? undefined : value === true || value === "true" || value === "1";
}

function wholeImage(image: string | undefined): string | undefined {
  return image?.includes("/") ? image : undefined;
}

function asTexts(amounts: Readonly<Record<string, string | number>> = {}): Record<string, string> {
  return Object.fromEntries(Object.entries(amounts).map(([name, amount]) => [name, String(amount)]));
}

type ProxyValues = NonNullable<NonNullable<InjectorValues["global"]>["proxy"]>;

function interceptionOf(proxy: ProxyValues | undefined, source: string): InjectionConfig["interception"] | undefined {
  const field = (name: keyof ProxyValues) => ({
    text: String(proxy?.[name] ?? ""),
    source: `${source}: global.proxy.${name}`,
  });
  const [all, included] = [field("includeIPRanges"), field("includeInboundPorts")];
  const ports = (name: keyof ProxyValues) => parsePorts(field(name).text, field(name).source);
  const names = [
    "includeIPRanges",
    "excludeIPRanges",
    "includeInboundPorts",
    "excludeInboundPorts",
    "includeOutboundPorts",
    "excludeOutboundPorts",
  ] as const;
  if (names.every((name) => proxy?.[name] === undefined)) return undefined;
  return {
    includeInboundPorts:
      proxy?.includeInboundPorts === undefined ? "*" : parsePortsOrAll(included.text, included.source),
    excludeInboundPorts: ports("excludeInboundPorts"),
    includeOutboundPorts: ports("includeOutboundPorts"),
    excludeOutboundPorts: ports("excludeOutboundPorts"),
    includeOutboundRanges: proxy?.includeIPRanges === undefined ? "*" : parseRangesOrAll(all.text, all.source),
    excludeOutboundRanges: parseRanges(field("excludeIPRanges").text, field("excludeIPRanges").source),
  };
}
