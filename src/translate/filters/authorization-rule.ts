import { create, type MessageInitShape } from "@bufbuild/protobuf";
import {
  type Permission,
  PermissionSchema,
  type Policy,
  PolicySchema,
  type Principal,
  PrincipalSchema,
} from "../../gen/envoy/config/rbac/v3/rbac_pb.ts";
import type {
  AuthorizationCondition,
  AuthorizationOperation,
  AuthorizationRule,
  AuthorizationSource,
} from "../../mesh/istio/authorization-policy.ts";
import { headerMatcher, namespaceMatcher, parseCidr, valueMatcher } from "./authorization-match.ts";

/** What a rule is built for: TCP has no requests, so nothing about them can be asked. */
export interface RuleContext {
  readonly action: "ALLOW" | "DENY";
  readonly layer: "http" | "tcp";
  /** The mesh's own, and what else it is called. */
  readonly trustDomains: readonly [string, ...string[]];
  /** Of the policy, for service accounts given without one. */
  readonly namespace: string;
}

/**
 * A rule as an RBAC policy, or null where it can never match. What cannot be asked here (of TCP, or by a key that is
 * not known) makes an ALLOW rule match nothing and is left out of a DENY rule: doubt always refuses.
 */
export function buildRule(rule: AuthorizationRule, context: RuleContext): Policy | null {
  const conditions = (rule.when ?? []).map((condition) => conditionTest(condition, context));
  const principals = alternatives(
    rule.from?.map(({ source }) => sourceTests(source ?? {}, context)),
    (tests) => conjunction([...tests, ...conditions.filter(isPrincipal)], context, ofPrincipals),
  );
  const permissions = alternatives(
    rule.to?.map(({ operation }) => operationTests(operation ?? {}, context)),
    (tests) => conjunction([...tests, ...conditions.filter(isPermission)], context, ofPermissions),
  );
  if (context.action === "ALLOW" && conditions.includes("unavailable")) return null;
  if (principals.length === 0 || permissions.length === 0) return null;
  return create(PolicySchema, { principals, permissions });
}

type Test<T> = T | "unavailable";

/** One entry for each of the rule's alternatives that can match; a rule that names none has one that asks nothing. */
function alternatives<T>(listed: Test<T>[][] | undefined, join: (tests: Test<T>[]) => T | null): T[] {
  return (listed === undefined || listed.length === 0 ? [[]] : listed).map(join).filter((joined) => joined !== null);
}

function isAvailable<T>(test: Test<T>): test is T {
  return test !== "unavailable";
}

function conjunction<T>(tests: Test<T>[], { action }: RuleContext, { all }: Vocabulary<T>): T | null {
  const known = tests.filter(isAvailable);
  return action === "ALLOW" && known.length < tests.length ? null : all(known);
}

const principal = (identifier: NonNullable<MessageInitShape<typeof PrincipalSchema>["identifier"]>): Principal =>
  create(PrincipalSchema, { identifier });
const permission = (rule: NonNullable<MessageInitShape<typeof PermissionSchema>["rule"]>): Permission =>
  create(PermissionSchema, { rule });

/** How tests are put together; RBAC says the same of callers and of calls in two kinds of message. */
interface Vocabulary<T> {
  all(tests: T[]): T;
  either(tests: T[]): T;
  not(test: T): T;
}

const ofPrincipals: Vocabulary<Principal> = {
  all: (ids) =>
    ids.length === 0 ? principal({ case: "any", value: true }) : principal({ case: "andIds", value: { ids } }),
  either: (ids) => principal({ case: "orIds", value: { ids } }),
  not: (id) => principal({ case: "notId", value: id }),
};

const ofPermissions: Vocabulary<Permission> = {
  all: (rules) =>
    rules.length === 0 ? permission({ case: "any", value: true }) : permission({ case: "andRules", value: { rules } }),
  either: (rules) => permission({ case: "orRules", value: { rules } }),
  not: (rule) => permission({ case: "notRule", value: rule }),
};

/** `values` are alternatives; `notValues` must all fail. */
function valueTests<T>(
  { either, not }: Vocabulary<T>,
  build: (value: string) => Test<T>,
  values: readonly string[] = [],
  notValues: readonly string[] = [],
): Test<T>[] {
  const anyOf = (list: readonly string[], join: (known: T[]) => T): Test<T>[] => {
    if (list.length === 0) return [];
    const tests = list.map(build);
    const known = tests.filter(isAvailable);
    return [known.length < tests.length ? "unavailable" : join(known)];
  };
  return [...anyOf(values, either), ...anyOf(notValues, (known) => not(either(known)))];
}

function sourceTests(source: AuthorizationSource, context: RuleContext): Test<Principal>[] {
  return [
    ...valueTests(ofPrincipals, principalName(context), source.principals, source.notPrincipals),
    ...valueTests(ofPrincipals, requestPrincipal(context), source.requestPrincipals, source.notRequestPrincipals),
    ...valueTests(ofPrincipals, fromNamespace, source.namespaces, source.notNamespaces),
    ...valueTests(ofPrincipals, serviceAccount(context), source.serviceAccounts, source.notServiceAccounts),
    ...valueTests(ofPrincipals, cidr("directRemoteIp"), source.ipBlocks, source.notIpBlocks),
    ...valueTests(ofPrincipals, cidr("remoteIp"), source.remoteIpBlocks, source.notRemoteIpBlocks),
  ];
}

function operationTests(operation: AuthorizationOperation, { layer }: RuleContext): Test<Permission>[] {
  const ofRequest = (build: (value: string) => Permission) => (value: string) =>
    layer === "http" ? build(value) : ("unavailable" as const);
  const host = (value: string) => permission({ case: "header", value: headerMatcher(":authority", value, true) });
  const method = (value: string) => permission({ case: "header", value: headerMatcher(":method", value) });
  const path = (value: string) =>
    permission({ case: "urlPath", value: { rule: { case: "path", value: valueMatcher(value) } } });
  return [
    ...valueTests(ofPermissions, ofRequest(host), operation.hosts, operation.notHosts),
    ...valueTests(ofPermissions, ofRequest(method), operation.methods, operation.notMethods),
    ...valueTests(ofPermissions, ofRequest(path), operation.paths, operation.notPaths),
    ...valueTests(ofPermissions, destinationPort, operation.ports, operation.notPorts),
  ];
}

/** https://istio.io/latest/docs/reference/config/security/conditions/ */
function conditionTest(condition: AuthorizationCondition, context: RuleContext): Test<Principal | Permission> {
  const { key, values, notValues } = condition;
  const asked = <T>(vocabulary: Vocabulary<T>, build: (value: string) => Test<T>): Test<T> =>
    conjunction(valueTests(vocabulary, build, values, notValues), context, vocabulary) ?? "unavailable";
  const ofSource = (build: (value: string) => Test<Principal>) => asked(ofPrincipals, build);
  const ofDestination = (build: (value: string) => Test<Permission>) => asked(ofPermissions, build);
  const header = /^request\.headers\[(.+)\]$/.exec(key)?.[1];
  if (header !== undefined) {
    return context.layer === "tcp"
      ? "unavailable"
      : ofSource((value) => principal({ case: "header", value: headerMatcher(header, value) }));
  }
  switch (key) {
    case "source.ip":
      return ofSource(cidr("directRemoteIp"));
    case "remote.ip":
      return ofSource(cidr("remoteIp"));
    case "source.namespace":
      return ofSource(fromNamespace);
    case "source.principal":
      return ofSource(principalName(context));
    case "source.serviceAccount":
      return ofSource(serviceAccount(context));
    case "destination.ip":
      return ofDestination((value) => {
        const range = parseCidr(value);
        return range === null ? "unavailable" : permission({ case: "destinationIp", value: range });
      });
    case "destination.port":
      return ofDestination(destinationPort);
    case "connection.sni":
      return ofDestination((value) => permission({ case: "requestedServerName", value: valueMatcher(value) }));
    default:
      return "unavailable";
  }
}

/** `cluster.local` in a policy always means the mesh's own trust domain; who has one name of it has them all. */
const principalName =
  ({ trustDomains }: RuleContext) =>
  (pattern: string) => {
    const [domain = "", ...rest] = pattern.split("/");
    if (rest.length === 0 || !["cluster.local", ...trustDomains].includes(domain))
      return authenticated(valueMatcher(pattern, { valuePrefix: "spiffe://" }));
    return inAnyDomain(trustDomains, rest.join("/"));
  };

const serviceAccount =
  ({ trustDomains, namespace }: RuleContext) =>
  (value: string) => {
    const [first = "", second] = value.split("/");
    const [ns, account] = second === undefined ? [namespace, first] : [first, second];
    return inAnyDomain(trustDomains, `ns/${ns}/sa/${account}`);
  };

function inAnyDomain(trustDomains: readonly string[], path: string): Principal {
  const ids = trustDomains.map((domain) => authenticated(valueMatcher(`spiffe://${domain}/${path}`)));
  const [only, ...others] = ids;
  return only !== undefined && others.length === 0 ? only : ofPrincipals.either(ids);
}

const fromNamespace = (pattern: string) => authenticated(namespaceMatcher(pattern));

function authenticated(principalName: ReturnType<typeof valueMatcher>): Principal {
  return principal({ case: "authenticated", value: { principalName } });
}

/** No token of an end user is verified yet, so nobody has one to show. */
const requestPrincipal =
  ({ layer }: RuleContext) =>
  (): Test<Principal> =>
    layer === "http" ? principal({ case: "notId", value: principal({ case: "any", value: true }) }) : "unavailable";

const cidr =
  (kind: "directRemoteIp" | "remoteIp") =>
  (text: string): Test<Principal> => {
    const range = parseCidr(text);
    return range === null ? "unavailable" : principal({ case: kind, value: range });
  };

function destinationPort(text: string): Test<Permission> {
  const port = Number(text);
  return Number.isInteger(port) && port > 0 && port < 65536
    ? permission({ case: "destinationPort", value: port })
    : "unavailable";
}

function isPrincipal(test: Test<Principal | Permission>): test is Principal {
  return isAvailable(test) && test.$typeName === "envoy.config.rbac.v3.Principal";
}

function isPermission(test: Test<Principal | Permission>): test is Permission {
  return isAvailable(test) && test.$typeName === "envoy.config.rbac.v3.Permission";
}
