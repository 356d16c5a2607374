import { isDeepStrictEqual } from "node:util";
import ipaddr from "ipaddr.js";
import { type Static, Type } from "typebox";
import { Compile } from "typebox/compile";
import { parse as parseYaml } from "yaml";
import { ipVersion } from "../platform/ip-version.ts";
import { conform } from "./conform.ts";
import type { Finding } from "./finding.ts";
import { closed } from "./istio/fields.ts";

const Port = Type.Integer({ minimum: 1, maximum: 65535 });
const Text = Type.Optional(Type.String({ minLength: 1 }));

/** https://istio.io/latest/docs/reference/config/istio.mesh.v1alpha1/#MeshNetworks */
const MeshNetworksText = Type.Object(
  {
    networks: Type.Optional(
      Type.Record(
        Type.String(),
        Type.Object(
          {
            endpoints: Type.Optional(Type.Array(Type.Object({ fromCidr: Text, fromRegistry: Text }, closed))),
            gateways: Type.Optional(
              Type.Array(Type.Object({ address: Text, registryServiceName: Text, port: Port }, closed)),
            ),
          },
          closed,
        ),
      ),
    ),
  },
  closed,
);
const validator = Compile(MeshNetworksText);

/** Which networks the mesh has, as one text says; labels go before it. */
export interface MeshNetworks {
  /** By the cluster whose pods are in it. */
  readonly byCluster: ReadonlyMap<string, string>;
  /** By the addresses that are in it: the first that fits counts. */
  readonly ranges: readonly AddressRange[];
  /** Where they are entered. */
  readonly gateways: readonly NamedGateway[];
}

export interface AddressRange {
  readonly network: string;
  readonly block: readonly [ipaddr.IPv4 | ipaddr.IPv6, number];
}

export interface NamedGateway {
  readonly network: string;
  readonly port: number;
  /** An IP address; or the host name of the Service whose addresses it has, in a cluster of that network. */
  readonly at: { readonly address: string } | { readonly host: string };
}

export const NO_NETWORKS: MeshNetworks = Object.freeze({ byCluster: new Map(), ranges: [], gateways: [] });

type Report = (severity: Finding["severity"], code: Finding["code"], message: string, field: string) => void;

/**
 * `data.meshNetworks` of the mesh's ConfigMap. What is wrong is told of and left out; a text that is no mapping, or does
 * not fit, leaves everything as it was in `last`: half of the networks would send requests where nobody answers.
 */
export function parseMeshNetworks(text: string, last: MeshNetworks, report: Report): MeshNetworks {
  const field = "data.meshNetworks";
  let yaml: unknown;
  try {
    yaml = parseYaml(text, { maxAliasCount: 0 }) ?? {};
  } catch {
    report("error", "document-malformed", `${field} is not YAML: what was read before stays in use`, field);
    return last;
  }
  const { value, mismatches, unknownFields } = conform(MeshNetworksText, yaml);
  for (const name of unknownFields) {
    const at = `${field}.${name}`;
    report("warning", "field-unsupported", `${at} is not supported and has no effect`, at);
  }
  for (const { path, reason } of mismatches) {
    const at = path === "" ? field : `${field}.${path}`;
    report("error", "schema-invalid", `${at} ${reason}; what was read before stays in use`, at);
  }
  if (mismatches.length > 0 || !validator.Check(value)) return last;
  const networks = read(value, report);
  return isDeepStrictEqual(networks, last) ? last : networks;
}

function read({ networks = {} }: Static<typeof MeshNetworksText>, report: Report): MeshNetworks {
  const byCluster = new Map<string, string>();
  const ranges: AddressRange[] = [];
  const gateways: NamedGateway[] = [];
  for (const [network, { endpoints = [], gateways: entries = [] }] of Object.entries(networks)) {
    const refuse = (path: string, reason: string) => {
      const at = `data.meshNetworks.networks.${network}.${path}`;
      report("error", "value-invalid", `${at} ${reason}`, at);
    };
    for (const [at, { fromCidr, fromRegistry }] of endpoints.entries()) {
      if (fromRegistry !== undefined && !byCluster.has(fromRegistry)) byCluster.set(fromRegistry, network);
      if (fromCidr === undefined) continue;
      if (ipaddr.isValidCIDR(fromCidr)) ranges.push({ network, block: ipaddr.parseCIDR(fromCidr) });
      else refuse(`endpoints[${at}].fromCidr`, `must be a CIDR block, but is ${JSON.stringify(fromCidr)}`);
    }
    for (const [at, { address, registryServiceName: host, port }] of entries.entries()) {
      if (host !== undefined) gateways.push({ network, port, at: { host } });
      else if (address !== undefined && ipVersion(address) !== null) gateways.push({ network, port, at: { address } });
      else refuse(`gateways[${at}]`, "must have an address, which is an IP address, or a registryServiceName");
    }
  }
  return { byCluster, ranges, gateways };
}

/** The network that an address is in by a range; undefined where none has it. */
export function networkByRange(address: string, ranges: readonly AddressRange[]): string | undefined {
  if (ranges.length === 0 || ipVersion(address) === null) return undefined;
  const parsed = ipaddr.parse(address);
  return ranges.find(({ block: [start, bits] }) => parsed.kind() === start.kind() && parsed.match(start, bits))
    ?.network;
}
