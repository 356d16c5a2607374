import { type Static, Type } from "typebox";
import type { MeshObject } from "../object.ts";
import { WorkloadSelector } from "./peer-authentication.ts";

/** https://istio.io/latest/docs/reference/config/security/authorization-policy/ */

const closed = { additionalProperties: false } as const;
const Texts = Type.Optional(Type.Array(Type.String()));

export const AuthorizationSource = Type.Object(
  {
    principals: Texts,
    notPrincipals: Texts,
    requestPrincipals: Texts,
    notRequestPrincipals: Texts,
    namespaces: Texts,
    notNamespaces: Texts,
    serviceAccounts: Texts,
    notServiceAccounts: Texts,
    ipBlocks: Texts,
    notIpBlocks: Texts,
    remoteIpBlocks: Texts,
    notRemoteIpBlocks: Texts,
  },
  closed,
);
export type AuthorizationSource = Static<typeof AuthorizationSource>;

export const AuthorizationOperation = Type.Object(
  {
    hosts: Texts,
    notHosts: Texts,
    ports: Texts,
    notPorts: Texts,
    methods: Texts,
    notMethods: Texts,
    paths: Texts,
    notPaths: Texts,
  },
  closed,
);
export type AuthorizationOperation = Static<typeof AuthorizationOperation>;

export const AuthorizationCondition = Type.Object({ key: Type.String(), values: Texts, notValues: Texts }, closed);
export type AuthorizationCondition = Static<typeof AuthorizationCondition>;

export const AuthorizationRule = Type.Object(
  {
    from: Type.Optional(Type.Array(Type.Object({ source: Type.Optional(AuthorizationSource) }, closed))),
    to: Type.Optional(Type.Array(Type.Object({ operation: Type.Optional(AuthorizationOperation) }, closed))),
    when: Type.Optional(Type.Array(AuthorizationCondition)),
  },
  closed,
);
export type AuthorizationRule = Static<typeof AuthorizationRule>;

export const AuthorizationPolicySpec = Type.Object(
  {
    selector: Type.Optional(WorkloadSelector),
    action: Type.Optional(Type.Union([Type.Literal("ALLOW"), Type.Literal("DENY")])),
    rules: Type.Optional(Type.Array(AuthorizationRule)),
  },
  closed,
);

export interface AuthorizationPolicy extends MeshObject {
  readonly kind: "AuthorizationPolicy";
  readonly spec: Static<typeof AuthorizationPolicySpec>;
}
