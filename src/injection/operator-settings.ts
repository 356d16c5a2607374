import { type Static, type TSchema, Type } from "typebox";
import { Check } from "typebox/value";
import { conform, isRecord } from "../mesh/conform.ts";
import { TrysailError } from "../platform/errors.ts";
import type { InjectionConfig } from "./injection-config.ts";
import { parsePorts, parsePortsOrAll, parseRanges, parseRangesOrAll } from "./interception-lists.ts";
import { LabelSelector } from "./label-selector.ts";
import { type ReadProxyConfig, readProxyConfig } from "./proxy-config.ts";

/** What an operator's file says about injection, and what in it has no effect. */
export interface OperatorSettings {
  readonly config: Partial<InjectionConfig>;
  readonly warnings: readonly string[];
}

/**
 * Injection's part of a MeshConfig; the rest of one concerns the control plane.
 * https://istio.io/latest/docs/reference/config/istio.mesh.v1alpha1/
 *
 * @throws TrysailError `invalid-argument` naming `source` and the field.
 */
export function readMeshSettings(value: unknown, source: string): OperatorSettings {
  const { defaultConfig, enablePrometheusMerge } = read(MeshSettings, value, source).value;
  const proxy: ReadProxyConfig =
    defaultConfig === undefined
      ? { config: {}, warnings: [] }
      : readProxyConfig(defaultConfig, `${source}: defaultConfig`);
  return {
    config: given({
      proxyConfig: proxy.config,
      discoveryAddress: proxy.config.discoveryAddress,
      mergeMetrics: enablePrometheusMerge,
    }),
    warnings: proxy.warnings,
  };
}

const MeshSettings = Type.Object({
  defaultConfig: Type.Optional(Type.Unknown()),
  enablePrometheusMerge: Type.Optional(Type.Boolean()),
});

const some = <T extends Record<string, TSchema>>(fields: T) =>
  Type.Optional(Type.Partial(Type.Object(fields, { additionalProperties: false }), { additionalProperties: false }));
const Text = Type.String();
/** As Helm has them: `80,443`, or a number where there is only one. */
const List = Type.Union([Type.String(), Type.Integer()]);
const Amounts = Type.Record(Type.String(), Type.Union([Type.String(), Type.Integer()]));

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
    global: some({
      imagePullPolicy: PullPolicy,
      imagePullSecrets: Type.Array(Text),
      meshID: Text,
      network: Text,
      platform: Text,
      multiCluster: some({ clusterName: Text }),
      proxy: some({
        image: Text,
        logLevel: Text,
        componentLogLevel: Text,
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
  const { value: values, unknownFields } = read(InjectorValues, value, source);
  const proxy = values.global?.proxy;
  const webhook = values.sidecarInjectorWebhook;
  const config = given<InjectionConfig>({
    revision: values.revision || undefined,
    imagePullPolicy: values.global?.imagePullPolicy,
    imagePullSecrets: values.global?.imagePullSecrets,
    meshId: values.global?.meshID || undefined,
    network: values.global?.network,
    platform: values.global?.platform === "openshift" ? "openshift" : undefined,
    clusterId: values.global?.multiCluster?.clusterName || undefined,
    proxyImage: wholeImage(proxy?.image),
    initImage: wholeImage(values.global?.proxy_init?.image),
    proxyLogLevel: proxy?.logLevel,
    proxyComponentLogLevel: proxy?.componentLogLevel,
    resources: proxy?.resources && {
      requests: asTexts(proxy.resources.requests),
      limits: asTexts(proxy.resources.limits),
    },
    enableNamespacesByDefault: webhook?.enableNamespacesByDefault,
    rewriteAppProbes: webhook?.rewriteAppHTTPProbe,
    injectedAnnotations: webhook?.injectedAnnotations,
    neverInjectSelector: webhook?.neverInjectSelector,
    alwaysInjectSelector: webhook?.alwaysInjectSelector,
    defaultTemplates: webhook?.defaultTemplates?.length ? webhook.defaultTemplates : undefined,
  });
  const interception = interceptionOf(proxy, source);
  return {
    config: interception === undefined ? config : { ...config, interception },
    warnings: unknownFields.map((field) => `${source}: ${field} has no effect on what is injected here`),
  };
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

/** Only what is said: the rest keeps its defaults. */
function given<T extends object>(settings: { readonly [K in keyof T]?: T[K] | undefined }): Partial<T> {
  const said: Partial<T> = {};
  return Object.assign(said, Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined)));
}

function read<T extends TSchema>(
  schema: T,
  value: unknown,
  source: string,
): { value: Static<T>; unknownFields: readonly string[] } {
  const { value: fitted, mismatches, unknownFields } = conform(schema, value ?? {});
  const [mismatch] = mismatches;
  if (mismatch === undefined && isRecord(fitted) && Check(schema, fitted)) return { value: fitted, unknownFields };
  throw new TrysailError(
    "invalid-argument",
    `${source}: ${mismatch?.path || "the file"} ${mismatch?.reason ?? "is not valid"}`,
  );
}
