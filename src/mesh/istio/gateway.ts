import { type Static, Type } from "typebox";
import type { MeshObject } from "../object.ts";
import { closed, PortNumber, StringMap } from "./fields.ts";

/** https://istio.io/latest/docs/reference/config/networking/gateway/ */

const TlsVersion = Type.Union([
  Type.Literal("TLS_AUTO"),
  Type.Literal("TLSV1_0"),
  Type.Literal("TLSV1_1"),
  Type.Literal("TLSV1_2"),
  Type.Literal("TLSV1_3"),
]);
export type TlsVersion = Static<typeof TlsVersion>;

/** A Kubernetes Secret's, in the namespace of the gateway's pods. */
const CredentialName = Type.String({
  pattern: "^([a-z0-9]([-a-z0-9.]*[a-z0-9])?)?$",
  maxLength: 253,
  description: "a name of lower-case letters, digits, - and .",
});

/** A path in the proxy's container. */
const FilePath = Type.String({ maxLength: 4096, pattern: "^[^\\0\\r\\n]*$", description: "the path of a file" });
const Hash = Type.String({ maxLength: 128 });

export const ServerTlsSettings = Type.Object(
  {
    httpsRedirect: Type.Optional(Type.Boolean()),
    /** None is PASSTHROUGH. */
    mode: Type.Optional(
      Type.Union([
        Type.Literal("PASSTHROUGH"),
        Type.Literal("SIMPLE"),
        Type.Literal("MUTUAL"),
        Type.Literal("AUTO_PASSTHROUGH"),
        Type.Literal("ISTIO_MUTUAL"),
        Type.Literal("OPTIONAL_MUTUAL"),
      ]),
    ),
    serverCertificate: Type.Optional(FilePath),
    privateKey: Type.Optional(FilePath),
    caCertificates: Type.Optional(FilePath),
    caCrl: Type.Optional(FilePath),
    credentialName: Type.Optional(CredentialName),
    credentialNames: Type.Optional(Type.Array(CredentialName, { maxItems: 2 })),
    caCertCredentialName: Type.Optional(CredentialName),
    subjectAltNames: Type.Optional(Type.Array(Type.String({ minLength: 1, maxLength: 2048 }))),
    verifyCertificateSpki: Type.Optional(Type.Array(Hash)),
    verifyCertificateHash: Type.Optional(Type.Array(Hash)),
    minProtocolVersion: Type.Optional(TlsVersion),
    maxProtocolVersion: Type.Optional(TlsVersion),
    cipherSuites: Type.Optional(Type.Array(Type.String({ maxLength: 64 }))),
  },
  closed,
);
export type ServerTlsSettings = Static<typeof ServerTlsSettings>;

export const GatewayPort = Type.Object(
  {
    number: PortNumber,
    protocol: Type.String({ minLength: 1 }),
    name: Type.Optional(Type.String({ maxLength: 255 })),
  },
  closed,
);

export const GatewayServer = Type.Object(
  {
    port: GatewayPort,
    bind: Type.Optional(Type.String({ maxLength: 255 })),
    // `HOST`, `NAMESPACE/HOST`, `./HOST` or `*/HOST`, where the host may be a wildcard.
    hosts: Type.Array(Type.String({ maxLength: 320 }), { minItems: 1 }),
    tls: Type.Optional(ServerTlsSettings),
    name: Type.Optional(Type.String({ maxLength: 255 })),
  },
  closed,
);
export type GatewayServer = Static<typeof GatewayServer>;

export const GatewaySpec = Type.Object(
  { selector: Type.Optional(StringMap), servers: Type.Optional(Type.Array(GatewayServer)) },
  closed,
);

/** What some proxies listen on for callers outside of the mesh, or for sidecars on their way out. */
export interface Gateway extends MeshObject {
  readonly kind: "Gateway";
  readonly spec: Static<typeof GatewaySpec>;
}
