import assert from "node:assert/strict";
import { test } from "node:test";
import { envoyMissing } from "../support/envoy.ts";
import { netnsMissing } from "../support/netns.ts";
import { until } from "../support/until.ts";
import { createDevFolder } from "./runner.ts";

const skip = netnsMissing() || envoyMissing();
const READY = { timeoutMs: 60_000 };

const service = "apiVersion: v1\nkind: Service\nmetadata: {name: cart, namespace: shop}\nspec: {ports: [{port: 80}]}\n";
const route = (host: string) =>
  `apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {name: cart, namespace: shop}\nspec: {hosts: [cart], http: [{route: [{destination: {host: ${host}}}]}]}\n`;

test("what is wrong between objects is told with its file, and when it is mended; nothing writes control characters", {
  skip,
}, async (t) => {
  const dev = createDevFolder(t);
  dev.write("cart.yaml", service);
  dev.write("route.yaml", route("gone"));
  dev.write("evil.yaml", 'apiVersion: v1\nkind: "Serv\\e[2Jice"\nmetadata: {name: "\\e[31mred"}\n');
  const run = dev.start("--no-host-ports");
  const dangling = /^warning: VirtualService shop\/cart: .*gone.* \(.*route\.yaml:1\)$/m;
  await until("the dangling reference", () => dangling.test(run.output()), READY);
  await until("the kind that is none", () => /^\w+: .*\[2Jice.*evil\.yaml:1/m.test(run.output()), READY);
  dev.write("route.yaml", route("cart"));
  await until("word that it is resolved", () => /^resolved: warning: VirtualService shop\/cart/m.test(run.output()));
  assert.equal(
    run
      .output()
      .split("\n")
      .filter((line) => dangling.test(line)).length,
    1,
    "it is told once",
  );
  assert.doesNotMatch(run.output(), /[^\P{Cc}\n]/u);
});
