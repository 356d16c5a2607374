import assert from "node:assert/strict";
import { test } from "node:test";
import { parseAuthenticatorConfig } from "./authenticator-config.ts";

const issuer = "https://issuer.example/mesh";
for (const [text, config] of [
  ["mesh-token", { kind: "mesh-token" }],
  [`oidc=${issuer}`, { kind: "oidc", issuer, caFile: null }],
  [`oidc=${issuer},ca=/etc/issuer/ca.pem`, { kind: "oidc", issuer, caFile: "/etc/issuer/ca.pem" }],
  [`oidc=${issuer},ca=/etc/a,ca=b.pem`, { kind: "oidc", issuer, caFile: "/etc/a,ca=b.pem" }],
] as const) {
  test(`an authenticator may be ${text}`, () => assert.deepEqual(parseAuthenticatorConfig(text), config));
}

for (const text of [
  "",
  "password",
  "oidc=",
  "oidc=http://issuer.example",
  `oidc=${issuer}?a=b`,
  `oidc=${issuer},ca=`,
]) {
  test(`no authenticator is ${JSON.stringify(text)}`, () => {
    assert.throws(() => parseAuthenticatorConfig(text), { code: "invalid-argument" });
  });
}
