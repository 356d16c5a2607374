import { createServer as createTlsServer } from "node:https";
import type { Server } from "node:net";
import type { TestContext } from "node:test";
import { createServingCertificate } from "../../src/ca/serving/serving-certificate.ts";
import { createHttpsServer } from "../../src/control-plane/https-server.ts";
import { defaultInjectionConfig, type InjectionConfig } from "../../src/injection/injection-config.ts";
import { admissionRoutes } from "../../src/injection/routes.ts";
import type { Namespace } from "../../src/mesh/kubernetes/core.ts";
import { systemClock } from "../../src/platform/clock.ts";
import { createLog } from "../../src/platform/log.ts";
import { issueBy, temporaryAuthority } from "../support/authority.ts";
import { until } from "../support/until.ts";

/** Starts a server on a port of 127.0.0.1 that the system chooses, and ends it behind the test. */
export async function listening(t: TestContext, server: Server): Promise<number> {
  const sockets = new Set<{ destroy(): void }>();
  server.on("connection", (socket) => sockets.add(socket));
  server.listen(0, "127.0.0.1");
  t.after(() => {
    server.close();
    for (const socket of sockets) socket.destroy();
  });
  await until("the server", () => server.listening);
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}

/** The webhook alone, with settings of its own, in front of namespaces that ask for revision `custom`. */
export async function customWebhook(
  t: TestContext,
  settings: Partial<InjectionConfig>,
): Promise<{ url: string; caBundlePem: string }> {
  const { signer, rootCertificatePem } = await temporaryAuthority(t, systemClock);
  const log = createLog("silent");
  const serving = createServingCertificate({
    issue: issueBy(signer, systemClock),
    clock: systemClock,
    log,
    hosts: ["127.0.0.1"],
  });
  await serving.start();
  t.after(() => serving.stop());
  const config = { ...defaultInjectionConfig, revision: "custom", ...settings };
  const namespaceOf = (name: string): Namespace => ({
    apiVersion: "v1",
    kind: "Namespace",
    metadata: { name, namespace: "", labels: { "istio.io/rev": "custom" }, annotations: {} },
  });
  const routes = [admissionRoutes({ namespaceOf, config, log })];
  const { app } = await createHttpsServer(serving.current(), routes, {
    rootsPem: rootCertificatePem,
    revocationListsPem: "",
  });
  t.after(() => app.close());
  return { url: await app.listen({ host: "127.0.0.1", port: 0 }), caBundlePem: rootCertificatePem };
}

/** Another project's webhook, which comes behind ours by its name and adds a container to pods that ask for it. */
export async function addingWebhook(t: TestContext): Promise<object> {
  const { signer, rootCertificatePem } = await temporaryAuthority(t, systemClock);
  const serving = createServingCertificate({
    issue: issueBy(signer, systemClock),
    clock: systemClock,
    log: createLog("silent"),
    hosts: ["127.0.0.1"],
  });
  await serving.start();
  t.after(() => serving.stop());
  const { chainPem, keyPem } = serving.current();
  const server = createTlsServer({ cert: chainPem, key: Buffer.from(keyPem.reveal()) }, (request, reply) => {
    let text = "";
    request.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk;
    });
    request.on("end", () => {
      const { uid, object } = JSON.parse(text).request;
      const isProbed = object.metadata.labels["add-helper"] === "probed";
      const probe = isProbed ? { livenessProbe: { tcpSocket: { port: 9000 } } } : {};
      const patch = [
        { op: "add", path: "/spec/containers/-", value: { name: "helper", image: "example.com/helper:1", ...probe } },
      ];
      const response = {
        uid,
        allowed: true,
        patchType: "JSONPatch",
        patch: Buffer.from(JSON.stringify(patch)).toString("base64"),
      };
      reply.setHeader("content-type", "application/json");
      reply.end(JSON.stringify({ apiVersion: "admission.k8s.io/v1", kind: "AdmissionReview", response }));
    });
  });
  const port = await listening(t, server);
  return {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "MutatingWebhookConfiguration",
    metadata: { name: "zz-helper" },
    webhooks: [
      {
        name: "helper.example.com",
        admissionReviewVersions: ["v1"],
        sideEffects: "None",
        clientConfig: {
          url: `https://127.0.0.1:${port}/`,
          caBundle: Buffer.from(rootCertificatePem).toString("base64"),
        },
        objectSelector: { matchExpressions: [{ key: "add-helper", operator: "Exists" }] },
        rules: [{ operations: ["CREATE"], apiGroups: [""], apiVersions: ["v1"], resources: ["pods"] }],
      },
    ],
  };
}
