import assert from "node:assert/strict";
import { test } from "node:test";
import { createServingCertificate } from "../../src/ca/serving/serving-certificate.ts";
import { recordNotRenewed } from "../../src/control-plane/authority-events.ts";
import { createHttpsServer } from "../../src/control-plane/https-server.ts";
import { buildInjectionWebhooks } from "../../src/control-plane/webhook-configurations.ts";
import { defaultInjectionConfig } from "../../src/injection/injection-config.ts";
import { admissionRoutes } from "../../src/injection/routes.ts";
import { createEventRecorder } from "../../src/kubernetes/event-recorder.ts";
import type { Namespace } from "../../src/mesh/kubernetes/core.ts";
import type { CheckLine } from "../../src/operations/check/check.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { createLog } from "../../src/platform/log.ts";
import { systemRandom } from "../../src/platform/random.ts";
import { issueBy, temporaryAuthority } from "../support/authority.ts";
import { createManualClock } from "../support/manual-clock.ts";
import { until } from "../support/until.ts";
import { create } from "./create.ts";
import { findKubernetes } from "./programs.ts";
import { adminClient } from "./service-account.ts";
import { startKubernetes } from "./start-kubernetes.ts";
import { trysail } from "./trysail.ts";

const found = findKubernetes();
const skip = "missing" in found ? found.missing : false;
const HOUR_MS = 3_600_000;
const POD = { apiVersion: "v1", kind: "Pod", namespace: "trysail-system", name: "trysail-0" };

test("the webhooks' certificate nears its end, ends, and is renewed, in front of a real API server", {
  skip,
  timeout: 180_000,
}, async (t) => {
  if ("missing" in found) return;
  const kubernetes = await startKubernetes(t, { ...found.programs, controllerManager: null });
  for (const name of ["trysail-system", "shop"]) {
    const metadata = { name, labels: name === "shop" ? { "istio-injection": "enabled" } : {} };
    await create(kubernetes, "/api/v1/namespaces", { metadata });
  }
  for (const name of ["default", "shop"]) {
    await create(kubernetes, `/api/v1/namespaces/${name}/serviceaccounts`, { metadata: { name: "default" } });
  }
  // Nobody moves the API server's clock: of certificates for a day, one has ended there, and one has an hour left.
  const clock = createManualClock(Date.now() - 25 * HOUR_MS);
  const log = createLog("silent");
  const { signer, rootCertificatePem } = await temporaryAuthority(t, clock);
  const sign = issueBy(signer, clock);
  const ended = createServingCertificate({ issue: sign, clock, log, hosts: ["127.0.0.1"] });
  await ended.start();
  ended.stop();
  clock.advance(2 * HOUR_MS);
  let signs = true;
  const client = await adminClient(t, kubernetes);
  const events = createEventRecorder({ client, clock: systemClock, random: systemRandom, log, instance: "trysail-0" });
  t.after(() => events.stop());
  const serving = createServingCertificate({
    ...{ clock, log, hosts: ["127.0.0.1"] },
    async issue(request) {
      if (!signs) throw new Error("the signer is away");
      return sign(request);
    },
    onNotRenewed: (message) => recordNotRenewed(events, POD, message),
  });
  await serving.start();
  t.after(() => serving.stop());
  const namespaceOf = (name: string): Namespace => ({
    apiVersion: "v1",
    kind: "Namespace",
    metadata: { name, namespace: "", labels: { "istio-injection": "enabled" }, annotations: {} },
  });
  const routes = [admissionRoutes({ namespaceOf, config: defaultInjectionConfig, log })];
  const trust = { rootsPem: rootCertificatePem, revocationListsPem: "" };
  const https = await createHttpsServer(serving.current(), routes, trust);
  t.after(() => https.app.close());
  serving.onRenew((renewed) => https.setCertificate(renewed));
  // Each over a connection of its own: one that is open outlives the certificate. Said in the answer, so that the API
  // server never asks over one that is just being closed.
  https.app.server.maxRequestsPerSocket = 1;
  const url = await https.app.listen({ host: "127.0.0.1", port: 0 });
  const webhooks = buildInjectionWebhooks({
    ...{ revision: "default", revisionTags: [], enableNamespacesByDefault: false, systemNamespace: "trysail-system" },
    ...{
      ignoredNamespaces: defaultInjectionConfig.ignoredNamespaces,
      target: { url },
      failurePolicy: "Fail",
      timeoutSeconds: 10,
    },
    caBundlePem: rootCertificatePem,
  });
  await create(kubernetes, "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations", webhooks);

  const checked = async (): Promise<string> => {
    const { stdout } = await trysail("check", "--kubeconfig", kubernetes.kubeconfig, "-o", "json");
    const lines: readonly CheckLine[] = JSON.parse(stdout);
    const asked = lines.filter(({ check }) => ["serving", "injection"].includes(check));
    return asked.map(({ status, check, message }) => `${status} ${check}: ${message}`).join("\n");
  };
  let pods = 0;
  const createPod = () => {
    const containers = [{ name: "app", image: "example.com/app:1" }];
    const metadata = { name: `app-${pods++}` };
    return kubernetes.call("POST", "/api/v1/namespaces/shop/pods", { metadata, spec: { containers } });
  };
  await until("the webhook to be called", async () => (await createPod()).body.spec?.initContainers !== undefined);

  await t.test("one that is not renewed is told of, and goes on until its end", async () => {
    assert.match(await checked(), /^warn serving: the certificate of 127\.0\.0\.1:\d+ ends soon, at/m);
    signs = false;
    clock.advance(20 * HOUR_MS);
    const note = await until("the Event", async () => {
      const { body } = await kubernetes.call("GET", "/apis/events.k8s.io/v1/namespaces/trysail-system/events");
      return body.items.find(({ reason }: { reason: string }) => reason === "CertificateNotRenewed")?.note;
    });
    assert.match(note, /was not renewed \(the signer is away\); it is valid until 20/);
    assert.equal((await createPod()).status, 201);
  });

  await t.test("with the signer back it is renewed, and the API server takes the new one", async () => {
    signs = true;
    const before = serving.current().notAfter;
    await until("another one", () => {
      clock.advance(60_000);
      return serving.current().notAfter > before;
    });
    // The manual clock has come as far as the API server's, less what the certificate is dated back.
    assert.equal((await createPod()).status, 201);
    assert.match(await checked(), /^pass serving: the certificate of 127\.0\.0\.1:\d+ is valid until/m);
  });

  await t.test("one that has ended is refused by the API server, and `trysail check` says both", async () => {
    https.setCertificate(ended.current());
    const { status, body } = await createPod();
    assert.equal(status, 500);
    assert.match(body.message, /failed calling webhook.*certificate has expired/);
    const said = await checked();
    assert.match(said, /^fail serving: the certificate of 127\.0\.0\.1:\d+ ended at 20/m);
    assert.match(said, /^fail injection: the API server cannot ask the injection webhook: .*certificate has expired/m);
  });
});
