import assert from "node:assert/strict";
import { test } from "node:test";
import * as fc from "fast-check";
import jsonPatch from "fast-json-patch";
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
const unique = { selector: ({ name }: { name: string }) => name, maxLength: 3 };
const pods = fc.record(
  {
    metadata: fc.option(
      fc.record({ name: fc.string(), labels: stringMap, annotations: stringMap }, { requiredKeys: [] }),
    ),
    spec: fc
      .record(
        {
          containers: fc.uniqueArray(container("c"), { ...unique, minLength: 1 }),
          initContainers: fc.option(fc.uniqueArray(container("i"), unique)),
          volumes: fc.option(fc.uniqueArray(fc.record({ name: fc.nat(99).map((n) => `v${n}`) }), unique)),
          securityContext: fc.option(fc.record({ fsGroup: fc.option(fc.nat()) })),
        },
        { requiredKeys: ["containers"] },
      )
      .chain((known) => extras.map((more) => ({ ...more, ...known }))),
  },
  { requiredKeys: ["spec"] },
);

test("injecting twice is injecting once", () => {
  fc.assert(
    fc.property(pods, (pod) => {
      const once = injectOverTheWire(parsePod(pod));
      assert.ok(once.spec.initContainers?.some(({ name }) => name === "istio-proxy"));
      assert.deepEqual(injectOverTheWire(once), once);
    }),
  );
});

test("nothing the user wrote is lost, and the pod passed in is not touched", () => {
  fc.assert(
    fc.property(pods, (written) => {
      const pod = parsePod(written);
      const before = JSON.stringify(pod);
      const after = injectOverTheWire(pod);
      assert.equal(JSON.stringify(pod), before);
      assertContains(after, withoutProbes(pod), "pod");
    }),
  );
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
    const name = nameOf(part[0]);
    const start = name === undefined ? 0 : whole.findIndex((item) => nameOf(item) === name);
    for (const [index, item] of part.entries()) assertContains(whole[start + index], item, `${path}[${index}]`);
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

function nameOf(item: unknown): unknown {
  return typeof item === "object" && item !== null && "name" in item ? item.name : undefined;
}

/** Their target is what injection replaces; plan.test.ts shows how. */
function withoutProbes(pod: PodManifest): unknown {
  return JSON.parse(JSON.stringify(pod), (name, value) => (name === "httpGet" ? undefined : value));
}
