import { isIP } from "node:net";
import type { JsonObject, JsonValue } from "@bufbuild/protobuf";
import { fromBinary } from "@bufbuild/protobuf";
import { type Node, NodeSchema } from "../gen/envoy/config/core/v3/base_pb.ts";
import { messageOf, TrysailError } from "../platform/errors.ts";
import type { ProxyNode } from "./node.ts";

const TYPES = ["sidecar", "router", "waypoint"] as const;
/** A DNS label (RFC 1123), as Kubernetes names namespaces. */
const LABEL = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;
/** A DNS subdomain, as Kubernetes names pods. */
const SUBDOMAIN = /^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/;
/** Longer than any id made of valid names; what is longer is not looked at. */
const LONGEST_ID = 1024;

/** Decodes a node message; throws `invalid-argument`. */
export function parseNodeBytes(bytes: Uint8Array): ProxyNode {
  let node: Node;
  try {
    node = fromBinary(NodeSchema, bytes);
  } catch (cause) {
    throw new TrysailError("invalid-argument", `not a node message: ${messageOf(cause)}`, { cause });
  }
  return parseNode(node);
}

/** Reads Istio's form of node: `TYPE~IP~NAME.NAMESPACE~DOMAIN`, and its metadata keys. Throws `invalid-argument`. */
export function parseNode(node: Pick<Node, "id" | "metadata" | "locality">): ProxyNode {
  const metadata = node.metadata ?? {};
  const parts = node.id.length > LONGEST_ID ? [] : node.id.split("~");
  const [typeText = "", ipAddress = "", qualified = "", domain = ""] = parts;
  if (parts.length !== 4 || domain === "") throw invalid("node id is not TYPE~IP~NAME.NAMESPACE~DOMAIN");
  const type = TYPES.find((known) => known === typeText);
  if (!type) throw invalid(`node id names no type of proxy that is served (${TYPES.join(", ")})`);
  if (isIP(ipAddress) === 0) throw invalid("node id holds no IP address");
  // A pod's name may have dots in it, a namespace may not.
  const dot = qualified.lastIndexOf(".");
  const name = qualified.slice(0, Math.max(dot, 0));
  const namespace = qualified.slice(dot + 1);
  if (!SUBDOMAIN.test(name) || !LABEL.test(namespace)) throw invalid("node id holds no NAME.NAMESPACE");
  if (metadata.NAMESPACE !== undefined && metadata.NAMESPACE !== namespace) {
    throw invalid("node id and metadata NAMESPACE contradict each other");
  }
  const parsed = { id: node.id, type, ipAddress, name, namespace, metadata, labels: stringsOf(metadata.LABELS) };
  if (!node.locality) return parsed;
  const { region, zone, subZone } = node.locality;
  return { ...parsed, locality: { region, zone, subZone } };
}

function stringsOf(labels: JsonValue | undefined): Readonly<Record<string, string>> {
  if (!isObject(labels)) return {};
  return Object.fromEntries(
    Object.entries(labels).filter((entry): entry is [string, string] => typeof entry[1] === "string"),
  );
}

function isObject(value: JsonValue | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function invalid(message: string): TrysailError {
  return new TrysailError("invalid-argument", message);
}
