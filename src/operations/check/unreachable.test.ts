import assert from "node:assert/strict";
import { test } from "node:test";
import { unreachable } from "./unreachable.ts";

const ours = { name: "trysail", systemNamespace: "trysail-system" };
const said = (host: string) =>
  `failed calling webhook "validation.trysail.io": failed to call webhook: Post "https://${host}:15017/validate": dial tcp 10.0.0.1:15017: connect: connection refused`;
const cases: readonly [title: string, said: string, action: RegExp][] = [
  ["our own", said("trysail.trysail-system.svc"), /^nobody answers: kubectl -n trysail-system .* log of trysail$/],
  ["another one", said("trysail-two.elsewhere.svc"), /^nobody answers: kubectl -n elsewhere .* log of trysail-two$/],
  ["one by its address", said("10.0.0.1"), /^nobody answers: kubectl -n trysail-system .* log of trysail$/],
];
for (const [title, message, action] of cases) {
  test(`a webhook that does not answer is looked for where it is: ${title}`, () => {
    const outcome = unreachable("the validation webhook", message, ours);
    assert.match(outcome.status === "pass" ? "" : outcome.action, action);
  });
}
