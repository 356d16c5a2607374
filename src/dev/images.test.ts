import assert from "node:assert/strict";
import { test } from "node:test";
import { findImage, parseImages, unmappedImage } from "./images.ts";

const images = parseImages(
  `images:
  shop/page: { command: [node, page.ts], workingDir: apps }
  shop/page:2: { command: [./bin/page], env: { COLOR: red } }
  registry.local:5000/shop/db: { command: [/usr/bin/db], args: [--quiet] }`,
  "/srv/shop/images.yaml",
);

test("an exact name comes before a name without a tag", () => {
  assert.deepEqual(findImage("shop/page:2", images)?.entrypoint, ["/srv/shop/bin/page"]);
  assert.deepEqual(findImage("shop/page:3", images)?.entrypoint, ["node", "page.ts"]);
  assert.deepEqual(findImage("shop/page@sha256:00", images)?.entrypoint, ["node", "page.ts"]);
});

test("a registry's port is not a tag", () => {
  assert.deepEqual(findImage("registry.local:5000/shop/db", images)?.args, ["--quiet"]);
  assert.deepEqual(findImage("registry.local:5000/shop/db:7", images)?.args, ["--quiet"]);
  assert.equal(findImage("registry.local:5000/other", images), undefined);
});

test("paths are taken from the file's folder", () => {
  assert.equal(findImage("shop/page", images)?.workingDir, "/srv/shop/apps");
  assert.equal(findImage("shop/page:2", images)?.workingDir, "/srv/shop");
});

test("the first map that knows an image decides", () => {
  const other = parseImages("images: { shop/page: { command: [other] } }", "/other/images.yaml");
  assert.deepEqual(findImage("shop/page", other, images)?.entrypoint, ["other"]);
});

const wrong: [name: string, text: string, message: RegExp][] = [
  ["broken YAML", "images: [", /images.yaml: /],
  ["no images", "image: {}", /images.yaml: /],
  ["a command that is no list", "images: { a: { command: node } }", /images.a.command/],
  ["an empty command", "images: { a: { command: [] } }", /images.a.command/],
  ["a field that does not exist", "images: { a: { command: [x], entrypoint: [y] } }", /images.a/],
];
for (const [name, text, message] of wrong) {
  test(`${name} is an error that names file and field`, () => {
    assert.throws(() => parseImages(text, "/srv/images.yaml"), message);
  });
}

test("an unmapped image is named with its container and what to write where", () => {
  const text = unmappedImage("shop/cart:1", "cart", "/srv/shop");
  assert.match(text, /container cart: no local command for image shop\/cart:1/);
  assert.match(text, /\/srv\/shop\/images.yaml.*"shop\/cart"/);
});
