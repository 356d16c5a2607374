import assert from "node:assert/strict";
import { test } from "node:test";
import { createManualClock } from "../../test/support/manual-clock.ts";
import type { RecordedEvent } from "../kubernetes/event-recorder.ts";
import type { Finding } from "../mesh/finding.ts";
import { startFindingEvents } from "./finding-events.ts";

const HOUR_MS = 3_600_000;

test("what cannot be used is told on its object, what may not be read on the control plane's pod, once an hour", (t) => {
  const clock = createManualClock(0);
  const told: string[] = [];
  const events = {
    record: ({ reason, regarding: { kind, namespace, name } }: RecordedEvent) =>
      void told.push(`${reason} ${kind} ${namespace}/${name}`),
  };
  const error = { severity: "error", message: "no good" } as const;
  const findings: Finding[] = [
    { ...error, code: "schema-invalid", object: { kind: "ConfigMap", namespace: "mesh", name: "istio" } },
    { ...error, code: "source-unreadable" },
    // Has a status of its own.
    { ...error, code: "schema-invalid", object: { kind: "Sidecar", namespace: "shop", name: "web" } },
    { ...error, code: "source-unreadable", severity: "warning" },
    { ...error, code: "document-malformed" },
  ];
  const place = { systemNamespace: "mesh", instance: "trysail-0" };
  t.after(startFindingEvents({ clock, events, ...place, findings: () => findings }));
  const both = ["ConfigurationUnusable ConfigMap mesh/istio", "ConfigurationUnreadable Pod mesh/trysail-0"];
  clock.advance(HOUR_MS / 2);
  assert.deepEqual(told, both);
  clock.advance(HOUR_MS / 2);
  assert.deepEqual(told, [...both, ...both]);
});
