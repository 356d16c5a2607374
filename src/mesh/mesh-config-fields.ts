import { type Static, type TSchema, Type } from "typebox";
import { Compile } from "typebox/compile";
import { CaCertificates } from "./foreign-authority.ts";
import { Count, closed, DurationText } from "./istio/fields.ts";
import { HttpRetry } from "./istio/http-policies.ts";
import { LocalityLbSetting } from "./istio/load-balancer.ts";
import { ProxyConfig } from "./istio/mesh-proxy-config.ts";
import { LabelSelector } from "./label-selector.ts";
import type { MeshConfig } from "./mesh-config.ts";
import { ownValue } from "./own-value.ts";
import type { Database } from "./port-protocol.ts";

/** How one field of Istio's MeshConfig is read. */
export interface MeshConfigField {
  readonly schema: TSchema;
  /** The settings that it makes; those keep their last value where the field cannot be read. */
  readonly keys: readonly (keyof MeshConfig)[];
  /** What a value that fits the schema sets; nothing where it only restates a default. */
  read(value: unknown): Partial<MeshConfig>;
}

function field<S extends TSchema>(
  schema: S,
  keys: readonly (keyof MeshConfig)[],
  read: (value: Static<S>) => Partial<MeshConfig>,
): MeshConfigField {
  const validator = Compile(schema);
  return { schema, keys, read: (value) => (validator.Check(value) ? read(value) : {}) };
}

const Name = Type.String({ minLength: 1 });
const ExportTo = Type.Array(Type.String());
const Keepalive = Type.Object(
  { probes: Type.Optional(Count), time: Type.Optional(DurationText), interval: Type.Optional(DurationText) },
  closed,
);
export type Keepalive = Static<typeof Keepalive>;

const PATH_NORMALIZATIONS = {
  DEFAULT: "BASE",
  NONE: "NONE",
  BASE: "BASE",
  MERGE_SLASHES: "MERGE_SLASHES",
  DECODE_AND_MERGE_SLASHES: "DECODE_AND_MERGE_SLASHES",
} as const;

/** As ports declare them. Envoy has filters for the last two in its contrib image alone. */
const DATABASES: Readonly<Record<string, Database | null>> = {
  MONGO: "mongo",
  REDIS: "redis",
  MYSQL: null,
  POSTGRES: null,
};

/** Whether a name stands for a database of which stock Envoy knows nothing. */
export function isContribDatabase(name: unknown): boolean {
  return typeof name === "string" && ownValue(DATABASES, name) === null;
}

/** https://istio.io/latest/docs/reference/config/istio.mesh.v1alpha1/#MeshConfig; every other field is a Finding. */
export const meshConfigFields: Readonly<Record<string, MeshConfigField>> = {
  // The caller compares it with the trust domain of the mesh's root.
  trustDomain: field(Name, [], () => ({})),
  trustDomainAliases: field(Type.Array(Name), ["trustDomainAliases"], (aliases) => ({
    trustDomainAliases: [...new Set(aliases)].sort(),
  })),
  // What these may say depends on the mesh's own trust domains: the caller reads them.
  caCertificates: field(CaCertificates, [], () => ({})),
  rootNamespace: field(Name, ["rootNamespaces"], (namespace) => ({ rootNamespaces: [namespace] })),
  defaultConfig: field(ProxyConfig, ["defaultConfig"], (defaultConfig) => ({ defaultConfig })),
  enablePrometheusMerge: field(Type.Boolean(), ["enablePrometheusMerge"], (enablePrometheusMerge) => ({
    enablePrometheusMerge,
  })),
  enableAutoMtls: field(Type.Boolean(), ["enableAutoMtls"], (enableAutoMtls) => ({ enableAutoMtls })),
  outboundTrafficPolicy: field(
    Type.Object(
      { mode: Type.Optional(Type.Union([Type.Literal("ALLOW_ANY"), Type.Literal("REGISTRY_ONLY")])) },
      closed,
    ),
    ["outboundTrafficPolicy"],
    ({ mode }) => (mode === undefined ? {} : { outboundTrafficPolicy: mode }),
  ),
  inboundTrafficPolicy: field(
    Type.Object({ mode: Type.Optional(Type.Union([Type.Literal("PASSTHROUGH"), Type.Literal("LOCALHOST")])) }, closed),
    ["inboundTrafficPolicy"],
    ({ mode }) => (mode === undefined ? {} : { inboundTrafficPolicy: mode }),
  ),
  defaultServiceExportTo: field(ExportTo, ["defaultServiceExportTo"], (exportTo) => ({
    defaultServiceExportTo: exportTo,
  })),
  defaultVirtualServiceExportTo: field(ExportTo, ["defaultVirtualServiceExportTo"], (exportTo) => ({
    defaultVirtualServiceExportTo: exportTo,
  })),
  defaultDestinationRuleExportTo: field(ExportTo, ["defaultDestinationRuleExportTo"], (exportTo) => ({
    defaultDestinationRuleExportTo: exportTo,
  })),
  protocolDetectionTimeout: field(DurationText, ["protocolDetectionTimeout"], (timeout) => ({
    protocolDetectionTimeout: timeout,
  })),
  connectTimeout: field(DurationText, ["connectTimeout"], (connectTimeout) => ({ connectTimeout })),
  dnsRefreshRate: field(DurationText, ["dnsRefreshRate"], (dnsRefreshRate) => ({ dnsRefreshRate })),
  tcpKeepalive: field(Keepalive, ["tcpKeepalive"], (tcpKeepalive) => ({ tcpKeepalive })),
  h2UpgradePolicy: field(
    Type.Union([Type.Literal("DO_NOT_UPGRADE"), Type.Literal("UPGRADE")]),
    ["isHttp2Upgraded"],
    (policy) => ({
      isHttp2Upgraded: policy === "UPGRADE",
    }),
  ),
  pathNormalization: field(
    Type.Object(
      {
        normalization: Type.Optional(
          Type.Union([
            Type.Literal("DEFAULT"),
            Type.Literal("NONE"),
            Type.Literal("BASE"),
            Type.Literal("MERGE_SLASHES"),
            Type.Literal("DECODE_AND_MERGE_SLASHES"),
          ]),
        ),
      },
      closed,
    ),
    ["pathNormalization"],
    ({ normalization = "DEFAULT" }) => ({ pathNormalization: PATH_NORMALIZATIONS[normalization] }),
  ),
  discoverySelectors: field(Type.Array(LabelSelector), ["discoverySelectors"], (discoverySelectors) => ({
    discoverySelectors,
  })),
  localityLbSetting: field(LocalityLbSetting, ["localityLb"], (localityLb) => ({ localityLb })),
  defaultHttpRetryPolicy: field(HttpRetry, ["defaultHttpRetryPolicy"], (defaultHttpRetryPolicy) => ({
    defaultHttpRetryPolicy,
  })),
  // Trysail's own: what Istio has no field for. There, variables of istiod's environment say the same.
  trysail: field(
    Type.Object(
      {
        databaseFilters: Type.Optional(
          Type.Array(
            Type.Union([Type.Literal("MONGO"), Type.Literal("REDIS"), Type.Literal("MYSQL"), Type.Literal("POSTGRES")]),
          ),
        ),
      },
      closed,
    ),
    ["databaseFilters"],
    ({ databaseFilters = [] }) => ({
      databaseFilters: [...new Set(databaseFilters.flatMap((name) => DATABASES[name] ?? []))].sort(),
    }),
  ),
  serviceSettings: field(
    Type.Array(
      Type.Object(
        {
          settings: Type.Optional(Type.Object({ clusterLocal: Type.Optional(Type.Boolean()) }, closed)),
          hosts: Type.Optional(Type.Array(Type.String())),
        },
        closed,
      ),
    ),
    ["clusterLocalHosts"],
    (settings) => ({
      clusterLocalHosts: settings.flatMap(({ hosts = [], settings: { clusterLocal = false } = {} }) =>
        hosts.map((host) => ({ host: host.toLowerCase(), isLocal: clusterLocal })),
      ),
    }),
  ),
};
