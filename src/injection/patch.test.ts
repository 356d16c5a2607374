import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import jsonPatch from "fast-json-patch";
import { withinCpuMs } from "../../test/support/cpu-time.ts";
import { decide } from "./decide.ts";
import { defaultInjectionConfig } from "./injection-config.ts";
import { buildPatch } from "./patch.ts";
import type { PodManifest } from "./pod.ts";
import { parsePod } from "./review.ts";

const namespace = "shop";
const config = defaultInjectionConfig;

/** As an API server would: parsed from the bytes that went over the wire. */
function injectOverTheWire(pod: PodManifest): PodManifest {
  const decision = decide({ pod, namespace, config });
  if (!decision.inject) return pod;
  const patch = JSON.parse(JSON.stringify(buildPatch(pod, decision.plan)));
  return parsePod(jsonPatch.applyPatch(structuredClone(pod), patch).newDocument);
}

const key = fc.oneof(
  fc.constantFrom("app", "version", "istio.io/rev", "a/b~c", "constructor", "__proto__", "toString"),
  fc.string({ maxLength: 12 }),
);
/** Annotations that change what is injected, valid ones. */
const meaningful = fc.record(
  {
    "sidecar.istio.io/nativeSidecar": fc.constantFrom("true", "false"),
    "sidecar.istio.io/interceptionMode": fc.constantFrom("REDIRECT", "TPROXY", "NONE"),
    "sidecar.istio.io/rewriteAppHTTPProbers": fc.constantFrom("true", "false"),
    "sidecar.istio.io/proxyCPU": fc.constantFrom("1", "100m"),
    "sidecar.istio.io/proxyImageType": fc.constantFrom("", "distroless"),
    "sidecar.istio.io/userVolume": fc.constant('{"own":{"emptyDir":{}}}'),
    "sidecar.istio.io/bootstrapOverride": fc.constant("mine"),
    "proxy.istio.io/config": fc.constantFrom(
      "holdApplicationUntilProxyStarts: true",
      "proxyMetadata: {A: b}",
      "concurrency: 4",
    ),
    "inject.istio.io/templates": fc.constantFrom("sidecar", "gateway"),
  },
  { requiredKeys: [] },
);
const stringMap = fc.option(
  fc.array(fc.tuple(key, fc.string({ maxLength: 8 })), { maxLength: 5 }).map((entries) => Object.fromEntries(entries)),
);
/** Whatever else a pod may hold. */
const extras = fc.dictionary(
  fc.string({ minLength: 1, maxLength: 8 }).map((name) => `x${name}`),
  fc.jsonValue({ maxDepth: 2 }),
  {
    maxKeys: 2,
  },
);
const port = fc.oneof(fc.integer({ min: 1, max: 65535 }), fc.constantFrom("http", "8080"));
const probe = fc.record(
  {
    httpGet: fc.option(
      fc.record({ port, path: fc.webPath(), scheme: fc.constantFrom("HTTP", "HTTPS") }, { requiredKeys: ["port"] }),
    ),
    timeoutSeconds: fc.nat(10),
  },
  { requiredKeys: [] },
);
const containerPorts = fc.array(fc.record({ name: fc.constant("http"), containerPort: fc.nat(65535) }), {
  maxLength: 1,
});
const container = (prefix: string) =>
  fc
    .record(
      {
        name: fc.nat(1000).map((n) => `${prefix}${n}`),
        ports: fc.option(containerPorts),
        readinessProbe: fc.option(probe),
        livenessProbe: fc.option(probe),
        startupProbe: fc.option(probe),
      },
      { requiredKeys: ["name"] },
    )
    .chain((known) => extras.map((more) => ({ ...more, ...known })));
/** What the user wants to be different about the sidecar. */
const ownProxy = extras.chain((more) => fc.constant({ ...more, name: "istio-proxy", image: "auto" }));
const unique = { selector: ({ name }: { name: string }) => name, maxLength: 3 };
/** As JSON has it, which knows no -0. */
const pods = fc
  .record(
    {
      metadata: fc.option(
        fc.record(
          {
            name: fc.string(),
            labels: stringMap,
            annotations: fc.oneof(
              stringMap,
              fc.tuple(stringMap, meaningful).map(([any, known]) => ({ ...any, ...known })),
            ),
          },
          { requiredKeys: [] },
        ),
      ),
      spec: fc
        .record(
          {
            containers: fc
              .tuple(fc.uniqueArray(container("c"), { ...unique, minLength: 1 }), fc.array(ownProxy, { maxLength: 1 }))
              .map(([apps, own]) => [...apps, ...own]),
            initContainers: fc.option(fc.uniqueArray(container("i"), unique)),
            volumes: fc.option(fc.uniqueArray(fc.record({ name: fc.nat(99).map((n) => `v${n}`) }), unique)),
            securityContext: fc.option(fc.record({ fsGroup: fc.option(fc.nat()) })),
          },
          { requiredKeys: ["containers"] },
        )
        .chain((known) => extras.map((more) => ({ ...more, ...known }))),
    },
    { requiredKeys: ["spec"] },
  )
  .map((pod) => parsePod(JSON.parse(JSON.stringify(pod))));

test("injecting twice is injecting once", () => {
  fc.assert(
    fc.property(pods, (pod) => {
      const once = injectOverTheWire(pod);
      const all = [...(once.spec.initContainers ?? []), ...once.spec.containers];
      assert.equal(all.filter(({ name }) => name === "istio-proxy").length, 1);
      assert.equal(JSON.stringify(injectOverTheWire(once)), JSON.stringify(once));
    }),
  );
});

test("nothing the user wrote is lost, and the pod passed in is not touched", () => {
  fc.assert(
    fc.property(pods, (pod) => {
      const before = JSON.stringify(pod);
      const after = injectOverTheWire(pod);
      assert.equal(JSON.stringify(pod), before);
      assertContains(after, withoutProbes(pod), "pod");
      const wish = pod.spec.containers.find(({ name }) => name === "istio-proxy");
      const sidecar = [...(after.spec.initContainers ?? []), ...after.spec.containers].find(isSidecar);
      assertContains(sidecar, { ...wish, image: undefined }, "istio-proxy");
    }),
  );
});

test("a pod as large as a request may be does not hold up the webhook", () => {
  const containers = Array.from({ length: 20_000 }, (_, index) => ({
    name: `c${index}`,
    livenessProbe: { httpGet: { port: 80 } },
  }));
  const { spec } = withinCpuMs(3000, () => injectOverTheWire({ spec: { containers } }));
  assert.equal(spec.containers.at(-1)?.livenessProbe?.httpGet?.path, "/app-health/c19999/livez");
});

test("a pod that opts out gets no patch", () => {
  const pod = { metadata: { labels: { "sidecar.istio.io/inject": "false" } }, spec: { containers: [{ name: "app" }] } };
  assert.equal(injectOverTheWire(pod), pod);
});

/** `whole` has everything that `part` has; lists may have more before and behind, in the same order. */
function assertContains(whole: unknown, part: unknown, path: string): void {
  // Lists and maps that are null are the same as ones that are not there.
  if (part === null || part === undefined) return;
  if (Array.isArray(part)) {
    assert.ok(Array.isArray(whole), path);
    // The sidecar may have moved; all others stay in their order.
    const others = part.filter((item) => nameOf(item) !== "istio-proxy");
    const name = nameOf(others[0]);
    const rest = whole.filter((item) => nameOf(item) !== "istio-proxy");
    const start = name === undefined ? 0 : rest.findIndex((item) => nameOf(item) === name);
    for (const [index, item] of others.entries()) assertContains(rest[start + index], item, `${path}[${index}]`);
  } else if (typeof part === "object") {
    assert.ok(typeof whole === "object" && whole !== null, path);
    for (const [name, value] of Object.entries(part)) {
      assert.ok(Object.hasOwn(whole, name) || value === null, `${path}.${name}`);
      assertContains(Object.getOwnPropertyDescriptor(whole, name)?.value, value, `${path}.${name}`);
    }
  } else {
    // istio.io/rev on the pod says afterwards who injected it.
    if (path !== "pod.metadata.annotations.istio.io/rev") assert.deepEqual(whole, part, path);
  }
}

function isSidecar({ name }: { name: string }): boolean {
  return name === "istio-proxy";
}

function nameOf(item: unknown): unknown {
  return typeof item === "object" && item !== null && "name" in item ? item.name : undefined;
}

/** Their target is what injection replaces; plan.test.ts shows how. */
function withoutProbes(pod: PodManifest): unknown {
  return JSON.parse(JSON.stringify(pod), (name, value) => (name === "httpGet" ? undefined : value));
}
