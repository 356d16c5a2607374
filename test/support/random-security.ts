import fc from "fast-check";
import { istio, name, pick, portNumber, record, some } from "./random-values.ts";

/** PeerAuthentications and AuthorizationPolicies of everything that they can say. */

const selector = record({ matchLabels: record({ app: name }) });
const mode = record({ mode: pick("UNSET", "DISABLE", "PERMISSIVE", "STRICT") });
export const peerAuthentication = istio(
  "security",
  "PeerAuthentication",
  record({ selector, mtls: mode, portLevelMtls: fc.dictionary(portNumber.map(String), mode, { maxKeys: 2 }) }),
);

const patterns = some(pick("*", "a*", "*a", "cluster.local/ns/shop/sa/one", "/a", "GET", "x.example.com"), 2);
const blocks = some(pick("10.0.0.0/8", "10.1.0.1", "::/0"), 2);
const ports = some(portNumber.map(String), 2);
const rule = record({
  from: some(
    fc.record({
      source: record({
        principals: patterns,
        notPrincipals: patterns,
        requestPrincipals: patterns,
        notRequestPrincipals: patterns,
        namespaces: patterns,
        notNamespaces: patterns,
        ipBlocks: blocks,
        notIpBlocks: blocks,
        remoteIpBlocks: blocks,
      }),
    }),
    2,
  ),
  to: some(
    fc.record({
      operation: record({
        hosts: patterns,
        methods: patterns,
        paths: patterns,
        notPaths: patterns,
        ports,
        notPorts: ports,
      }),
    }),
    2,
  ),
  when: some(
    fc.record({
      key: pick("request.headers[x-a]", "source.ip", "source.principal", "destination.port", "connection.sni", "odd"),
      values: some(pick("*", "a", "10.0.0.0/8", "80"), 2),
      notValues: patterns,
    }),
    2,
  ),
});
export const authorizationPolicy = istio(
  "security",
  "AuthorizationPolicy",
  record({ selector, action: pick("ALLOW", "DENY"), rules: some(rule) }),
);
