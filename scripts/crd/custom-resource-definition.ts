import { groupOf, type KindSchema } from "../../src/mesh/schemas.ts";
import { describeFields } from "./describe-fields.ts";
import { DESCRIPTIONS } from "./descriptions.ts";
import { buildStructuralSchema, type StructuralSchema } from "./structural-schema.ts";

/** How `kubectl` knows a kind: of Istio's by its own names, so that what people type today keeps working. */
interface KindNames {
  /** What `kubectl explain` says of it. */
  readonly about: string;
  readonly plural: string;
  readonly shortNames: readonly string[];
  /** What `kubectl get` shows between name and age. */
  readonly columns: readonly Column[];
}

interface Column {
  readonly name: string;
  readonly jsonPath: string;
  readonly description: string;
  /** Above 0: with `-o wide` alone. */
  readonly priority?: number;
}

const column = (name: string, jsonPath: string, description: string): Column => ({ name, jsonPath, description });

/** Its fields are described there. */
const ISTIO = "https://istio.io/latest/docs/reference/config";

const NAMES: Readonly<Record<string, KindNames>> = {
  AuthorizationPolicy: {
    about: `Who may call a workload. ${ISTIO}/security/authorization-policy/`,
    plural: "authorizationpolicies",
    shortNames: ["ap"],
    columns: [column("Action", ".spec.action", "What happens to a request that a rule matches; empty is ALLOW")],
  },
  DestinationRule: {
    about: `How callers reach a service: its subsets, load balancing, connections and TLS. ${ISTIO}/networking/destination-rule/`,
    plural: "destinationrules",
    shortNames: ["dr"],
    columns: [column("Host", ".spec.host", "The service whose traffic it is about")],
  },
  Gateway: {
    about: `What a proxy at the edge of the mesh listens for. ${ISTIO}/networking/gateway/`,
    plural: "gateways",
    shortNames: ["gw"],
    columns: [column("Selector", ".spec.selector", "The proxies that listen")],
  },
  PeerAuthentication: {
    about: `Whether a workload takes mutual TLS alone. ${ISTIO}/security/peer_authentication/`,
    plural: "peerauthentications",
    shortNames: ["pa"],
    columns: [column("Mode", ".spec.mtls.mode", "Which connections are taken: STRICT is mutual TLS only")],
  },
  ProxyConfig: {
    about: `How the proxies of some pods are set up when they start. ${ISTIO}/networking/proxy-config/`,
    plural: "proxyconfigs",
    shortNames: [],
    columns: [],
  },
  RateLimit: {
    about: "How many requests or connections workloads take: docs/rate-limits.md of Trysail",
    plural: "ratelimits",
    shortNames: ["rl"],
    columns: [],
  },
  ServiceEntry: {
    about: `A service that Kubernetes does not know of. ${ISTIO}/networking/service-entry/`,
    plural: "serviceentries",
    shortNames: ["se"],
    columns: [
      column("Hosts", ".spec.hosts", "Names of the service"),
      column("Location", ".spec.location", "Whether the service is part of the mesh"),
      column("Resolution", ".spec.resolution", "How its addresses are found"),
    ],
  },
  Sidecar: {
    about: `Which services a workload sees, and what its sidecar listens on. ${ISTIO}/networking/sidecar/`,
    plural: "sidecars",
    shortNames: [],
    columns: [],
  },
  VirtualService: {
    about: `Where requests to a host are sent: routes, weights, timeouts, retries. ${ISTIO}/networking/virtual-service/`,
    plural: "virtualservices",
    shortNames: ["vs"],
    columns: [
      column("Gateways", ".spec.gateways", "Where the routes hold; empty is the mesh"),
      column("Hosts", ".spec.hosts", "The hosts whose traffic is routed"),
    ],
  },
  WorkloadEntry: {
    about: `A workload beside the pods of a service. ${ISTIO}/networking/workload-entry/`,
    plural: "workloadentries",
    shortNames: ["we"],
    columns: [column("Address", ".spec.address", "Where the workload listens")],
  },
  WorkloadGroup: {
    about: `What WorkloadEntries have in common. ${ISTIO}/networking/workload-group/`,
    plural: "workloadgroups",
    shortNames: ["wg"],
    columns: [],
  },
};

/** Of every kind: whether it is used, whether proxies refuse it, and whether there is more to know (docs/status.md). */
const VERDICTS: readonly Column[] = [
  column("Accepted", `.status.conditions[?(@.type=="Accepted")].status`, "Whether the object is used"),
  column("Programmed", `.status.conditions[?(@.type=="Programmed")].status`, "False where a proxy refuses it"),
  column("Reason", `.status.conditions[?(@.type=="Accepted")].reason`, "What is wrong, or that there are warnings"),
  {
    ...column("Proxies", `.status.conditions[?(@.type=="Reconciled")].message`, "How many proxies have it"),
    priority: 1,
  },
  {
    ...column("Message", `.status.conditions[?(@.type=="Accepted")].message`, "What is wrong with it, in words"),
    priority: 1,
  },
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
    description: names.about,
    type: "object",
    properties: { spec: describeFields(buildStructuralSchema(spec), DESCRIPTIONS[kind] ?? {}), status: STATUS },
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
