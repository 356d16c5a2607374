import { groupOf, type KindSchema } from "../../src/mesh/schemas.ts";
import { buildStructuralSchema, type StructuralSchema } from "./structural-schema.ts";

/** How `kubectl` knows a kind: of Istio's by its own names, so that what people type today keeps working. */
interface KindNames {
  readonly plural: string;
  readonly shortNames: readonly string[];
  /** What `kubectl get` shows between name and age. */
  readonly columns: readonly Column[];
}

interface Column {
  readonly name: string;
  readonly jsonPath: string;
  readonly description: string;
}

const column = (name: string, jsonPath: string, description: string): Column => ({ name, jsonPath, description });

const NAMES: Readonly<Record<string, KindNames>> = {
  AuthorizationPolicy: {
    plural: "authorizationpolicies",
    shortNames: ["ap"],
    columns: [column("Action", ".spec.action", "What happens to a request that a rule matches; empty is ALLOW")],
  },
  DestinationRule: {
    plural: "destinationrules",
    shortNames: ["dr"],
    columns: [column("Host", ".spec.host", "The service whose traffic it is about")],
  },
  Gateway: {
    plural: "gateways",
    shortNames: ["gw"],
    columns: [column("Selector", ".spec.selector", "The proxies that listen")],
  },
  PeerAuthentication: {
    plural: "peerauthentications",
    shortNames: ["pa"],
    columns: [column("Mode", ".spec.mtls.mode", "Which connections are taken: STRICT is mutual TLS only")],
  },
  ProxyConfig: { plural: "proxyconfigs", shortNames: [], columns: [] },
  RateLimit: { plural: "ratelimits", shortNames: ["rl"], columns: [] },
  ServiceEntry: {
    plural: "serviceentries",
    shortNames: ["se"],
    columns: [
      column("Hosts", ".spec.hosts", "Names of the service"),
      column("Location", ".spec.location", "Whether the service is part of the mesh"),
      column("Resolution", ".spec.resolution", "How its addresses are found"),
    ],
  },
  Sidecar: { plural: "sidecars", shortNames: [], columns: [] },
  VirtualService: {
    plural: "virtualservices",
    shortNames: ["vs"],
    columns: [
      column("Gateways", ".spec.gateways", "Where the routes hold; empty is the mesh"),
      column("Hosts", ".spec.hosts", "The hosts whose traffic is routed"),
    ],
  },
  WorkloadEntry: {
    plural: "workloadentries",
    shortNames: ["we"],
    columns: [column("Address", ".spec.address", "Where the workload listens")],
  },
  WorkloadGroup: { plural: "workloadgroups", shortNames: ["wg"], columns: [] },
};

/** Of every kind: whether it is used, and whether proxies refuse it (docs/status.md). */
const VERDICTS = [
  column("Accepted", `.status.conditions[?(@.type=="Accepted")].status`, "Whether the object is used"),
  column("Programmed", `.status.conditions[?(@.type=="Programmed")].status`, "False where a proxy refuses it"),
];
const AGE = { name: "Age", type: "date", jsonPath: ".metadata.creationTimestamp" };
const STATUS = { type: "object", "x-kubernetes-preserve-unknown-fields": true };

/**
 * The CustomResourceDefinition of one of Istio's kinds or our own, in every version that is read.
 *
 * @throws Error for a kind without names here.
 */
export function buildCustomResourceDefinition({ kind, apiVersions, namespaced, schema }: KindSchema): object {
  const names = NAMES[kind];
  const { spec } = schema.properties;
  if (names === undefined || spec === undefined) throw new Error(`${kind} has no names or no spec to be served by`);
  const group = groupOf(apiVersions[0]);
  const openAPIV3Schema = {
    type: "object",
    properties: { spec: buildStructuralSchema(spec), status: STATUS },
  };
  return {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    metadata: { name: `${names.plural}.${group}` },
    spec: {
      group,
      scope: namespaced ? "Namespaced" : "Cluster",
      names: {
        kind,
        listKind: `${kind}List`,
        plural: names.plural,
        singular: kind.toLowerCase(),
        ...(names.shortNames.length === 0 ? {} : { shortNames: names.shortNames }),
        // Istio's own, so that `kubectl get istio-io` and `kubectl get networking-istio-io` list what they list there.
        categories: [...(group.endsWith("istio.io") ? ["istio-io"] : []), group.replaceAll(".", "-")],
      },
      versions: apiVersions.map((apiVersion, index) =>
        version(apiVersion, index === 0, names.columns, openAPIV3Schema),
      ),
    },
  };
}

/** All versions are alike but for their names, so the API server turns one into the other by itself. */
function version(
  apiVersion: string,
  storage: boolean,
  columns: readonly Column[],
  openAPIV3Schema: StructuralSchema,
): object {
  return {
    name: apiVersion.slice(apiVersion.indexOf("/") + 1),
    served: true,
    storage,
    additionalPrinterColumns: [...[...columns, ...VERDICTS].map((shown) => ({ ...shown, type: "string" })), AGE],
    subresources: { status: {} },
    schema: { openAPIV3Schema },
  };
}
