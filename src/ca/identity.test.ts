import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { parseSpiffeId, spiffeId } from "./identity.ts";

test("a SPIFFE id is read back as it was written", () => {
  const label = fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?$/);
  const dotted = fc.array(label, { minLength: 1, maxLength: 3 }).map((labels) => labels.join("."));
  const identity = fc.record(
    { trustDomain: dotted, namespace: label, serviceAccount: dotted },
    { noNullPrototype: true },
  );
  fc.assert(fc.property(identity, (one) => assert.deepEqual(parseSpiffeId(spiffeId(one)), one)));
});

const ID = "spiffe://cluster.local/ns/shop/sa/cart";
const tricks: [title: string, id: string][] = [
  ["nothing", ""],
  ["the scheme alone", "spiffe://"],
  ["a trust domain alone", "spiffe://cluster.local"],
  ["no trust domain", "spiffe:///ns/shop/sa/cart"],
  ["a scheme in capitals", ID.replace("spiffe", "SPIFFE")],
  ["another scheme", ID.replace("spiffe", "https")],
  ["a trust domain in capitals", ID.replace("cluster", "Cluster")],
  ["a port", ID.replace("local/", "local:443/")],
  ["a user", ID.replace("cluster", "root@cluster")],
  ["a query", `${ID}?x`],
  ["a fragment", `${ID}#x`],
  ["a slash at the end", `${ID}/`],
  ["a segment more", `${ID}/admin`],
  ["a segment less", "spiffe://cluster.local/ns/shop/sa"],
  ["segments in another order", "spiffe://cluster.local/sa/cart/ns/shop"],
  ["an empty segment in front", ID.replace("/ns", "//ns")],
  ["an empty segment within", ID.replace("/sa", "//sa")],
  ["an empty namespace", ID.replace("shop", "")],
  ["a way up", `${ID}/../admin`],
  ["a way up for a namespace", ID.replace("shop", "..")],
  ["a way up for an account", ID.replace("cart", "..")],
  ["a dot for an account", ID.replace("cart", ".")],
  ["an escaped dot", ID.replace("cart", "%2e%2e")],
  ["an escaped slash", ID.replace("cart", "cart%2fadmin")],
  ["an escaped letter", ID.replace("cart", "%63art")],
  ["a backslash", ID.replace("/cart", "\\cart")],
  ["a Cyrillic letter", ID.replace("cart", "c\u0430rt")],
  ["full-width letters", ID.replace("cart", "\uff43art")],
  ["a letter that becomes two in small", ID.replace("cart", "\u0130")],
  ["a joiner that nobody sees", ID.replace("cart", "ca\u200drt")],
  ["an end of line", `${ID}\n`],
  ["a line within", ID.replace("/sa", "\n/sa")],
  ["a NUL", `${ID}\0`],
  ["a space in front", ` ${ID}`],
  ["a comma and a second name", `${ID}, DNS:trysail`],
  ["a namespace with a dot", ID.replace("shop", "a.b")],
  ["a namespace of 64 letters", ID.replace("shop", "a".repeat(64))],
  ["an account of 254 letters", ID.replace("cart", `${"a.".repeat(126)}ab`)],
  ["a trust domain of 256 letters", ID.replace("cluster.local", "a".repeat(256))],
];
for (const [title, id] of tricks) {
  test(`${title} is no workload's SPIFFE id`, () => assert.equal(parseSpiffeId(id), undefined));
}

test("whatever text comes, it is the very id that is read out of it, or none", () => {
  const piece = fc.oneof(
    fc.constantFrom("spiffe://", "cluster.local", "/ns/", "/sa/", "shop", "cart", "/", "..", "%2e", "\n", "\u0430"),
    fc.string({ maxLength: 4, unit: "binary" }),
  );
  const text = fc.oneof(
    fc.array(piece, { maxLength: 8 }).map((pieces) => pieces.join("")),
    fc.tuple(fc.nat(ID.length), piece).map(([at, inserted]) => ID.slice(0, at) + inserted + ID.slice(at)),
  );
  fc.assert(
    fc.property(text, (id) => {
      const identity = parseSpiffeId(id);
      assert.ok(identity === undefined || spiffeId(identity) === id);
    }),
    { numRuns: 2000 },
  );
});
