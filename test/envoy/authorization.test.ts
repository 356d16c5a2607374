import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { systemClock } from "../../src/platform/clock.ts";
import { temporaryAuthority } from "../support/authority.ts";
import {
  type CallerIdentity,
  callHttp,
  callTcp,
  type HttpAnswer,
  type HttpCall,
  identityOf,
} from "../support/caller.ts";
import { envoyMissing } from "../support/envoy.ts";
import { istio, pod, service } from "../support/manifests.ts";
import { meshOf } from "../support/mesh.ts";
import { startSidecars } from "../support/sidecars.ts";
import { startEcho, startUpstream } from "../support/upstream.ts";

/** AuthorizationPolicies at a real Envoy: each row is a workload with policies of its own, and calls to it. */

/** Callers by name; each is a service account of a namespace but `anyone`, who has no certificate. */
const CALLERS = { page: "shop/page", cart: "shop/cart", jo: "edge/jo", "page-2": "shop-2/page" } as const;
type Caller = keyof typeof CALLERS | "anyone";

interface Call extends HttpCall {
  readonly as?: Caller;
  /** An address of loopback. */
  readonly from?: string;
  readonly serverName?: string;
}

interface Row {
  readonly policies: readonly object[];
  readonly http?: { readonly allowed: readonly Call[]; readonly denied: readonly Call[] };
  readonly tcp?: { readonly allowed: readonly Call[]; readonly denied: readonly Call[] };
}

const allow = (...rules: object[]) => ({ action: "ALLOW", rules });
const deny = (...rules: object[]) => ({ action: "DENY", rules });
const from = (source: object) => ({ from: [{ source }] });
const to = (operation: object) => ({ to: [{ operation }] });
const when = (key: string, field: "values" | "notValues", ...values: string[]) => ({
  when: [{ key, [field]: values }],
});

const all: readonly Caller[] = ["page", "cart", "jo", "page-2", "anyone"];
const as = (...callers: Caller[]): Call[] => callers.map((caller) => ({ as: caller }));
const asAllBut = (...callers: Caller[]): Call[] => as(...all.filter((caller) => !callers.includes(caller)));

/** A source or condition that tells these callers from the rest, as ALLOW and as DENY, for HTTP and for TCP. */
function tells(rule: object, callers: readonly Caller[]): Record<"allow" | "deny", Row> {
  const [those, others] = [as(...callers), asAllBut(...callers)];
  return {
    allow: {
      policies: [allow(rule)],
      http: { allowed: those, denied: others },
      tcp: { allowed: those, denied: others },
    },
    deny: { policies: [deny(rule)], http: { allowed: others, denied: those }, tcp: { allowed: others, denied: those } },
  };
}

const SOURCES: Record<string, Record<"allow" | "deny", Row>> = {
  principal: tells(from({ principals: ["cluster.local/ns/shop/sa/page"] }), ["page"]),
  "any principal": tells(from({ principals: ["*"] }), ["page", "cart", "jo", "page-2"]),
  "principal prefix": tells(from({ principals: ["cluster.local/ns/shop/*"] }), ["page", "cart"]),
  "principal suffix": tells(from({ principals: ["*/sa/page"] }), ["page", "page-2"]),
  "not principal": tells(from({ notPrincipals: ["cluster.local/ns/shop/sa/page"] }), [
    "cart",
    "jo",
    "page-2",
    "anyone",
  ]),
  "not any principal": tells(from({ notPrincipals: ["*"] }), ["anyone"]),
  namespace: tells(from({ namespaces: ["shop"] }), ["page", "cart"]),
  "namespace prefix": tells(from({ namespaces: ["shop*"] }), ["page", "cart", "page-2"]),
  "namespace suffix": tells(from({ namespaces: ["*-2"] }), ["page-2"]),
  "any namespace": tells(from({ namespaces: ["*"] }), ["page", "cart", "jo", "page-2"]),
  "not namespace": tells(from({ notNamespaces: ["shop"] }), ["jo", "page-2", "anyone"]),
  "service account": tells(from({ serviceAccounts: ["page"] }), ["page"]),
  "service account elsewhere": tells(from({ serviceAccounts: ["edge/jo"] }), ["jo"]),
  "not service account": tells(from({ notServiceAccounts: ["page"] }), ["cart", "jo", "page-2", "anyone"]),
  "both at once": tells(from({ namespaces: ["shop"], notPrincipals: ["*/sa/cart"] }), ["page"]),
  "either source": tells({ from: [{ source: { principals: ["*/sa/cart"] } }, { source: { namespaces: ["edge"] } }] }, [
    "cart",
    "jo",
  ]),
  "when principal": tells(when("source.principal", "values", "*/sa/jo"), ["jo"]),
  "when not principal": tells(when("source.principal", "notValues", "*/sa/jo"), ["page", "cart", "page-2", "anyone"]),
  "when namespace": tells(when("source.namespace", "values", "edge"), ["jo"]),
  "when service account": tells(when("source.serviceAccount", "values", "shop/cart"), ["cart"]),
  "nobody's address": tells(from({ ipBlocks: ["10.0.0.0/8"] }), []),
  "everybody's address": tells(from({ ipBlocks: ["127.0.0.0/8"] }), all),
};

const here = { from: "127.0.0.31" };
const there = { from: "127.0.0.77" };

/** An operation or condition that tells these calls from those, for HTTP alone. */
function asks(rule: object, fit: readonly Call[], differ: readonly Call[]): Record<"allow" | "deny", Row> {
  return {
    allow: {
      policies: [allow(rule)],
      http: { allowed: fit, denied: differ },
      tcp: { allowed: [], denied: [{}] },
    },
    deny: { policies: [deny(rule)], http: { allowed: differ, denied: fit }, tcp: { allowed: [], denied: [{}] } },
  };
}

const paths = (...list: string[]): Call[] => list.map((path) => ({ path }));

/** TCP knows nothing of requests: there ALLOW never matches, and DENY denies. */
const REQUESTS: Record<string, Record<"allow" | "deny", Row>> = {
  method: asks(to({ methods: ["GET"] }), [{}], [{ method: "POST" }]),
  "any method": asks(to({ methods: ["*"] }), [{}, { method: "POST" }], []),
  "not method": asks(to({ notMethods: ["GET"] }), [{ method: "POST" }], [{}]),
  path: asks(to({ paths: ["/admin"] }), paths("/admin", "/admin?q"), paths("/", "/admin/", "/administer", "/x/admin")),
  "path prefix": asks(to({ paths: ["/admin/*"] }), paths("/admin/", "/admin/x/y"), paths("/admin", "/x/admin/")),
  "path suffix": asks(to({ paths: ["*/info"] }), paths("/info", "/x/info?q"), paths("/info/", "/infos")),
  "any path": asks(to({ paths: ["*"] }), paths("/", "/x"), []),
  "not path": asks(to({ notPaths: ["/admin*"] }), paths("/", "/adm"), paths("/admin", "/admin/x")),
  "path in disguise": asks(
    to({ paths: ["/admin/*"] }),
    paths("/x/../admin/", "/./admin/x", "/%61dmin/x", "/x/%2e%2e/admin/y", "/x/..\\admin/y"),
    // What Istio leaves alone by default too: doubled slashes, and encoded ones.
    paths("/admin/../x", "/admin/%2E%2e/x", "//admin/x", "/%2fadmin/x"),
  ),
  host: asks(
    to({ hosts: ["api.test"] }),
    [{ headers: { host: "api.test" } }, { headers: { host: "API.test" } }],
    [{ headers: { host: "other.test" } }, { headers: { host: "api.test.evil" } }],
  ),
  "host suffix": asks(
    to({ hosts: ["*.test"] }),
    [{ headers: { host: "a.test" } }, { headers: { host: "B.TEST" } }],
    [{ headers: { host: "a.tests" } }],
  ),
  "not host": asks(
    to({ notHosts: ["api.test"] }),
    [{ headers: { host: "other.test" } }],
    [{ headers: { host: "api.test" } }],
  ),
  "header value": asks(
    when("request.headers[x-team]", "values", "red", "blue*"),
    [{ headers: { "x-team": "red" } }, { headers: { "X-Team": "blueish" } }],
    [{}, { headers: { "x-team": "redder" } }],
  ),
  "any header value": asks(when("request.headers[x-team]", "values", "*"), [{ headers: { "x-team": "a" } }], [{}]),
  "not header value": asks(
    when("request.headers[x-team]", "notValues", "red"),
    [{}, { headers: { "x-team": "blue" } }],
    [{ headers: { "x-team": "red" } }],
  ),
  "path and caller": {
    allow: {
      policies: [allow({ ...from({ namespaces: ["shop"] }), ...to({ paths: ["/a"] }) })],
      http: {
        allowed: [{ as: "page", path: "/a" }],
        denied: [{ as: "page", path: "/b" }, { as: "jo", path: "/a" }, { path: "/a" }],
      },
      tcp: { allowed: [], denied: as("page", "jo", "anyone") },
    },
    deny: {
      policies: [deny({ ...from({ namespaces: ["shop"] }), ...to({ paths: ["/a"] }) })],
      http: {
        allowed: [{ as: "page", path: "/b" }, { as: "jo", path: "/a" }, { path: "/a" }],
        denied: [{ as: "page", path: "/a" }],
      },
      tcp: { allowed: as("jo", "anyone"), denied: as("page", "cart") },
    },
  },
  "method or path": asks(
    { to: [{ operation: { methods: ["PUT"] } }, { operation: { paths: ["/open"] } }] },
    [{ method: "PUT", path: "/x" }, { path: "/open" }],
    [{ path: "/x" }],
  ),
  "method and path": asks(
    to({ methods: ["PUT"], paths: ["/x"] }),
    [{ method: "PUT", path: "/x" }],
    [{ path: "/x" }, { method: "PUT", path: "/y" }],
  ),
};

const OTHERS: Record<string, Row> = {
  "no policy lets everyone in": {
    policies: [],
    http: { allowed: as(...all), denied: [] },
    tcp: { allowed: as(...all), denied: [] },
  },
  "ALLOW without rules denies all": {
    policies: [{}],
    http: { allowed: [], denied: as(...all) },
    tcp: { allowed: [], denied: as(...all) },
  },
  "ALLOW with an empty rule allows all": {
    policies: [allow({})],
    http: { allowed: as(...all), denied: [] },
    tcp: { allowed: as(...all), denied: [] },
  },
  "DENY without rules denies nobody": {
    policies: [deny()],
    http: { allowed: as(...all), denied: [] },
    tcp: { allowed: as(...all), denied: [] },
  },
  "DENY with an empty rule denies all": {
    policies: [deny({})],
    http: { allowed: [], denied: as(...all) },
    tcp: { allowed: [], denied: as(...all) },
  },
  "DENY comes before ALLOW": {
    policies: [allow({}), deny(from({ principals: ["*/sa/cart"] }))],
    http: { allowed: asAllBut("cart"), denied: as("cart") },
    tcp: { allowed: asAllBut("cart"), denied: as("cart") },
  },
  "one of several ALLOW policies is enough": {
    policies: [allow(from({ principals: ["*/sa/cart"] })), allow(from({ namespaces: ["edge"] }))],
    http: { allowed: as("cart", "jo"), denied: asAllBut("cart", "jo") },
    tcp: { allowed: as("cart", "jo"), denied: asAllBut("cart", "jo") },
  },
  "DENY on a path leaves the rest to ALLOW": {
    policies: [allow(from({ namespaces: ["shop"] })), deny(to({ paths: ["/admin*"] }))],
    http: {
      allowed: [{ as: "page", path: "/x" }],
      denied: [
        { as: "page", path: "/admin" },
        { as: "jo", path: "/x" },
      ],
    },
    tcp: { allowed: [], denied: as("page", "jo") },
  },
  "the direct caller's address": {
    policies: [allow(from({ ipBlocks: ["127.0.0.31", "10.0.0.0/8"] }))],
    http: { allowed: [here], denied: [there, { ...there, headers: { "x-forwarded-for": "10.0.0.1" } }] },
    tcp: { allowed: [here], denied: [there] },
  },
  "not the direct caller's address": {
    policies: [deny(from({ notIpBlocks: ["127.0.0.0/26"] }))],
    http: { allowed: [here], denied: [there] },
    tcp: { allowed: [here], denied: [there] },
  },
  "when the caller's address": {
    policies: [allow(when("source.ip", "values", "127.0.0.31"))],
    http: { allowed: [here], denied: [there] },
    tcp: { allowed: [here], denied: [there] },
  },
  "the first caller's address": {
    policies: [allow(from({ remoteIpBlocks: ["10.0.0.0/8"] }))],
    http: { allowed: [{ headers: { "x-forwarded-for": "10.1.2.3" } }], denied: [{}, here] },
    tcp: { allowed: [], denied: [here] },
  },
  "not the first caller's address": {
    policies: [deny(from({ notRemoteIpBlocks: ["127.0.0.31"] }))],
    http: { allowed: [here], denied: [there] },
    tcp: { allowed: [here], denied: [there] },
  },
  "when the first caller's address": {
    policies: [allow(when("remote.ip", "values", "127.0.0.31"))],
    http: { allowed: [here], denied: [there] },
    tcp: { allowed: [here], denied: [there] },
  },
  "when the destination's address": {
    policies: [deny(when("destination.ip", "values", "127.0.0.1"))],
    http: { allowed: [], denied: [{}] },
    tcp: { allowed: [], denied: [{}] },
  },
  "when another destination's address": {
    policies: [deny(when("destination.ip", "values", "127.0.0.2"))],
    http: { allowed: [{}], denied: [] },
    tcp: { allowed: [{}], denied: [] },
  },
  "when the server name": {
    policies: [allow(when("connection.sni", "values", "outbound_.80_.*"))],
    http: {
      allowed: [{ as: "page", serverName: "outbound_.80_._.web" }],
      denied: [{ as: "page", serverName: "outbound_.81_._.web" }, {}],
    },
    tcp: {
      allowed: [{ as: "page", serverName: "outbound_.80_._.web" }],
      denied: [{ as: "page", serverName: "outbound_.81_._.web" }, {}],
    },
  },
  "ALLOW to bearers of a token, which nobody has": {
    policies: [allow(from({ requestPrincipals: ["*"] }))],
    http: { allowed: [], denied: as(...all) },
    tcp: { allowed: [], denied: as(...all) },
  },
  "DENY to those without a token, which all are": {
    policies: [deny(from({ notRequestPrincipals: ["*"] }))],
    http: { allowed: [], denied: as(...all) },
    tcp: { allowed: [], denied: as(...all) },
  },
  "DENY to bearers of a token denies all of TCP": {
    policies: [deny(from({ requestPrincipals: ["*"] }))],
    http: { allowed: as(...all), denied: [] },
    tcp: { allowed: [], denied: as(...all) },
  },
  "ALLOW on a condition that cannot be asked yet": {
    policies: [allow(when("request.auth.presenter", "values", "full"))],
    http: { allowed: [], denied: as("page", "anyone") },
    tcp: { allowed: [], denied: as("page", "anyone") },
  },
  "DENY on a condition that cannot be asked yet": {
    policies: [deny(when("request.auth.presenter", "values", "full"))],
    http: { allowed: [], denied: as("page", "anyone") },
    tcp: { allowed: [], denied: as("page", "anyone") },
  },
};

const rows: [string, Row][] = [
  ...[...Object.entries(SOURCES), ...Object.entries(REQUESTS)].flatMap(([name, { allow, deny }]): [string, Row][] => [
    [`ALLOW by ${name}`, allow],
    [`DENY by ${name}`, deny],
  ]),
  ...Object.entries(OTHERS),
];

async function startWorkloads(t: TestContext) {
  const authority = await temporaryAuthority(t, systemClock);
  const server = await identityOf(authority, { namespace: "shop", serviceAccount: "server" });
  const identities = new Map<Caller, CallerIdentity>();
  for (const [caller, account] of Object.entries(CALLERS)) {
    const [namespace = "", serviceAccount = ""] = account.split("/");
    identities.set(caller as Caller, await identityOf(authority, { namespace, serviceAccount }));
  }
  const [http, tcp] = [await startUpstream(t, "app"), await startEcho(t)];
  const workload = (index: number, { policies }: Row) => {
    const labels = { app: `app-${index}` };
    return [
      pod({ name: `app-${index}`, ip: "127.0.0.1", labels }),
      service({
        name: `app-${index}`,
        ports: { http: { port: 80, targetPort: http.port }, tcp: { port: 81, targetPort: tcp.port } },
      }),
      ...policies.map((spec, at) =>
        istio("AuthorizationPolicy", `app-${index}-${at}`, { selector: { matchLabels: labels }, ...spec }),
      ),
    ].join("");
  };
  const byPort = (action: "ALLOW" | "DENY", ports: object): Row => ({ policies: [{ action, rules: [to(ports)] }] });
  const portRows: [string, Row][] = [
    [
      "ALLOW by port",
      {
        ...byPort("ALLOW", { ports: [String(tcp.port)] }),
        http: { allowed: [], denied: [{}] },
        tcp: { allowed: [{}], denied: [] },
      },
    ],
    [
      "DENY by port",
      {
        ...byPort("DENY", { ports: [String(http.port)] }),
        http: { allowed: [], denied: [{}] },
        tcp: { allowed: [{}], denied: [] },
      },
    ],
    [
      "DENY by not port",
      {
        ...byPort("DENY", { notPorts: [String(http.port)] }),
        http: { allowed: [{}], denied: [] },
        tcp: { allowed: [], denied: [{}] },
      },
    ],
    [
      "when the destination's port",
      {
        policies: [allow(when("destination.port", "values", String(http.port)))],
        http: { allowed: [{}], denied: [] },
        tcp: { allowed: [], denied: [{}] },
      },
    ],
  ];
  const everyRow = [...rows, ...portRows];
  // Each in a mesh of its own: in one, every proxy would be sent every other's Service.
  const sidecars = everyRow.map(([, row], index) => {
    const mesh = meshOf(workload(index, row));
    return [`app-${index}`, { mesh, pod: `app-${index}.shop` }];
  });
  const running = await startSidecars(t, server, Object.fromEntries(sidecars));
  return {
    everyRow,
    envoy: running.envoy,
    /** Whether the call got through to the application. */
    async isAllowed(
      index: number,
      layer: "http" | "tcp",
      { as = "anyone", from, serverName, ...call }: Call,
    ): Promise<boolean> {
      const identity = identities.get(as);
      const inbound = {
        port: running.port(`app-${index}`, "virtualInbound"),
        destination: layer === "http" ? http.port : tcp.port,
        ...(from === undefined ? {} : { from }),
        ...(identity === undefined ? {} : { identity }),
        ...(serverName === undefined ? {} : { serverName }),
      };
      if (layer === "tcp") return (await callTcp(inbound)) === "hello ahoy there";
      const answer: HttpAnswer | null = await callHttp(inbound, call);
      if (answer?.status === 403) {
        assert.equal(answer.body, "RBAC: access denied");
        return false;
      }
      assert.equal(answer?.status, 200, `neither allowed nor denied: ${answer?.body ?? "closed"}`);
      return true;
    },
  };
}

test("AuthorizationPolicies hold at a real Envoy", { skip: envoyMissing() }, async (t) => {
  const { everyRow, isAllowed, envoy } = await startWorkloads(t);
  for (const [index, [name, row]] of everyRow.entries()) {
    for (const layer of ["http", "tcp"] as const) {
      const calls: Row["http"] = row[layer];
      if (calls === undefined) continue;
      await t.test(`${name}: ${layer}`, async () => {
        for (const expected of ["allowed", "denied"] as const) {
          for (const call of calls[expected]) {
            const actual: string = (await isAllowed(index, layer, call)) ? "allowed" : "denied";
            assert.equal(actual, expected, JSON.stringify(call));
          }
        }
      });
    }
  }

  await t.test("every TCP connection that did not get through was denied by policy", async () => {
    const denied = everyRow.reduce((sum, [, row]) => sum + (row.tcp?.denied.length ?? 0), 0);
    assert.equal(await envoy.stat("tcp.rbac.denied"), denied);
  });
});
