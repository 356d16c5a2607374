import fc from "fast-check";
import { pick, record } from "./random-values.ts";

/** Specs of Gateways of everything that they can say, some of it refused. */

const hosts = fc.array(pick("*", "x.example.com", "*.example.com", "shop/*.com", "./a.test", "edge/x.example.com"), {
  minLength: 1,
  maxLength: 2,
});

const tls = record({
  httpsRedirect: fc.boolean(),
  mode: pick("PASSTHROUGH", "SIMPLE", "MUTUAL", "AUTO_PASSTHROUGH", "ISTIO_MUTUAL", "OPTIONAL_MUTUAL"),
  credentialName: pick("a", "b"),
  subjectAltNames: fc.array(pick("spiffe://a/b", "x.example.com"), { maxLength: 2 }),
  minProtocolVersion: pick("TLS_AUTO", "TLSV1_0", "TLSV1_2", "TLSV1_3"),
  maxProtocolVersion: pick("TLS_AUTO", "TLSV1_1", "TLSV1_3"),
  cipherSuites: fc.array(pick("ECDHE-RSA-AES256-GCM-SHA384", "AES128-SHA", "nonsense"), { maxLength: 2 }),
  verifyCertificateHash: fc.array(pick("ab".repeat(32)), { maxLength: 1 }),
});

const server = fc.record(
  {
    port: fc.record({ number: pick(80, 443, 15443), protocol: pick("HTTP", "GRPC-WEB", "HTTPS", "TLS", "TCP") }),
    bind: pick("127.0.0.2", ""),
    hosts,
    tls,
  },
  { requiredKeys: ["port", "hosts"] },
);

/** Half of the servers are what people write; the rest is tried in every combination. */
const usual = pick(
  { port: { number: 80, protocol: "HTTP" }, hosts: ["*"] },
  { port: { number: 80, protocol: "HTTP2" }, hosts: ["x.example.com"], tls: { httpsRedirect: true } },
  { port: { number: 443, protocol: "HTTPS" }, hosts: ["*.example.com"], tls: { mode: "SIMPLE", credentialName: "a" } },
  { port: { number: 443, protocol: "TLS" }, hosts: ["*"], tls: { mode: "PASSTHROUGH" } },
  { port: { number: 15443, protocol: "TLS" }, hosts: ["*.local"], tls: { mode: "AUTO_PASSTHROUGH" } },
  { port: { number: 15443, protocol: "TLS" }, hosts: ["*"], tls: { mode: "ISTIO_MUTUAL" } },
  { port: { number: 31400, protocol: "TCP" }, hosts: ["*"] },
);

export const gatewaySpec = fc.record(
  {
    selector: pick({ app: "c" }, {}),
    servers: fc.array(fc.oneof(usual, server), { minLength: 1, maxLength: 3 }),
  },
  { requiredKeys: ["servers"] },
);
