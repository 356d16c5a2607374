import assert from "node:assert/strict";
import type { ServerResponse } from "node:http";
import { createServer } from "node:https";
import { type TestContext, test } from "node:test";
import { temporaryAuthority } from "../../test/support/authority.ts";
import { createCallCounter } from "../../test/support/events.ts";
import { grpcCertificate } from "../../test/support/grpc-certificate.ts";
import { createManualClock } from "../../test/support/manual-clock.ts";
import { until } from "../../test/support/until.ts";
import { listenOn } from "../../test/support/upstream.ts";
import { buildSpiffeBundle } from "../ca/bundle/spiffe-bundle.ts";
import type { ForeignAuthority } from "../mesh/foreign-authority.ts";
import { systemClock } from "../platform/clock.ts";
import { createLog } from "../platform/log.ts";
import { createOutboundFetch, type OutboundFetch } from "../platform/outbound-fetch.ts";
import { createForeignBundles } from "./foreign-bundles.ts";

function following(t: TestContext, fetch: OutboundFetch) {
  const clock = createManualClock(Date.parse("2026-08-01T00:00:00Z"));
  const changes = createCallCounter();
  const bundles = createForeignBundles({
    ...{ fetch, clock, log: createLog("silent"), random: { fraction: () => 0 } },
    onChange: changes.call,
  });
  t.after(() => bundles.stop());
  return { clock, changes, bundles };
}

const at = (bundleUrl: string, ...trustDomains: string[]): ForeignAuthority => ({ trustDomains, roots: { bundleUrl } });
const bundleOf = (rootsPem: string, refreshHintSeconds: number) =>
  buildSpiffeBundle({ rootsPem, jwtKeys: [], refreshHintSeconds });

test("a bundle endpoint is asked again when it says so, and what it last said well stays", async (t) => {
  const [one, two] = [await temporaryAuthority(t, systemClock), await temporaryAuthority(t, systemClock)];
  const asked = createCallCounter();
  let answer: () => string = () => bundleOf(one.trustBundlePem, 60);
  const { clock, changes, bundles } = following(t, async () => {
    asked.call();
    return answer();
  });
  const first = changes.next();
  bundles.follow([at("https://west.example", "west.example")]);
  assert.equal(bundles.current().size, 0, "nothing before it has answered");
  await first;
  assert.equal(bundles.current().get("west.example"), one.trustBundlePem);

  for (const bad of ["", "{}", bundleOf("", 60)]) {
    answer = () => bad;
    const before = asked.count();
    await until("it to be asked again", () => {
      clock.advance(60_000);
      return asked.count() > before;
    });
    assert.equal(bundles.current().get("west.example"), one.trustBundlePem);
  }
  answer = () => bundleOf(one.trustBundlePem + two.trustBundlePem, 60);
  await until("both roots", () => {
    clock.advance(60_000);
    return bundles.current().get("west.example") === one.trustBundlePem + two.trustBundlePem;
  });
  assert.equal(changes.count(), 2, "only what is new is told");
});

test("an older bundle than the one that is held brings no root back, unless all that are held have ended", async (t) => {
  const [one, two] = [await temporaryAuthority(t, systemClock), await temporaryAuthority(t, systemClock)];
  const numbered = (rootsPem: string, sequence?: number | bigint) =>
    JSON.stringify(JSON.parse(bundleOf(rootsPem, 60))).replace(
      /}$/,
      sequence === undefined ? "}" : `,"spiffe_sequence":${sequence}}`,
    );
  const asked = createCallCounter();
  let answer = numbered(one.trustBundlePem, 7);
  const { clock, changes, bundles } = following(t, async () => {
    asked.call();
    return answer;
  });
  const first = changes.next();
  bundles.follow([at("https://west.example", "west.example")]);
  await first;
  const rows: readonly [title: string, bundle: string, taken: string][] = [
    ["a later one", numbered(two.trustBundlePem, 9), two.trustBundlePem],
    ["an older one", numbered(one.trustBundlePem, 8), two.trustBundlePem],
    ["the same one", numbered(two.trustBundlePem, 9), two.trustBundlePem],
    ["one of 64 bits", numbered(one.trustBundlePem, 2n ** 64n - 1n), one.trustBundlePem],
    ["an older one", numbered(two.trustBundlePem, 9), one.trustBundlePem],
    ["one without a number", numbered(two.trustBundlePem), two.trustBundlePem],
    ["any behind that", numbered(one.trustBundlePem, 1), one.trustBundlePem],
  ];
  for (const [title, bundle, taken] of rows) {
    answer = bundle;
    const before = asked.count();
    await until(`${title} to be read`, () => {
      clock.advance(60_000);
      return asked.count() > before + 1;
    });
    assert.equal(bundles.current().get("west.example"), taken, title);
  }

  clock.advance(20 * 365 * 86_400_000);
  const anew = await temporaryAuthority(t, clock);
  answer = numbered(anew.trustBundlePem, 0);
  await until("a mesh that begins anew to be known again", () => {
    clock.advance(60_000);
    return bundles.current().get("west.example") === anew.trustBundlePem;
  });
});

test("an endpoint is asked no more often than every 10 s, whatever it hints", async (t) => {
  const { trustBundlePem } = await temporaryAuthority(t, systemClock);
  const asked = createCallCounter();
  const { clock, changes, bundles } = following(t, async () => {
    asked.call();
    return bundleOf(trustBundlePem, 0);
  });
  const first = changes.next();
  bundles.follow([at("https://west.example", "west.example")]);
  await first;
  await until("the next to be planned", () => clock.pending() === 1);
  clock.advance(9_999);
  assert.equal(asked.count(), 1);
  clock.advance(1);
  assert.equal(asked.count(), 2);
});

test("several authorities of one trust domain add up, and who is no longer named is forgotten", async (t) => {
  const [one, two] = [await temporaryAuthority(t, systemClock), await temporaryAuthority(t, systemClock)];
  const { clock, changes, bundles } = following(t, async () => bundleOf(two.trustBundlePem, 300));
  const fixed: ForeignAuthority = { trustDomains: ["b.example"], roots: { pem: one.trustBundlePem } };
  const first = changes.next();
  bundles.follow([fixed, at("https://x.example", "a.example", "b.example")]);
  await first;
  assert.deepEqual([...bundles.current().keys()], ["a.example", "b.example"]);
  assert.equal(bundles.current().get("b.example"), `${one.trustBundlePem}\n${two.trustBundlePem}`);
  bundles.follow([fixed]);
  assert.deepEqual([...bundles.current()], [["b.example", one.trustBundlePem]]);
  await until("nobody to be asked any more", () => clock.pending() === 0);
});

test("an endpoint that answers anything but a document is given up, and asked again", async (t) => {
  const { certificate, rootPem } = await grpcCertificate(t, ["127.0.0.1"]);
  const answers: readonly ((response: ServerResponse) => unknown)[] = [
    (response) =>
      response.socket?.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
    (response) => response.writeHead(302, { location: "https://127.0.0.1/" }).end(),
    (response) => response.writeHead(200, { "content-length": "1000" }).write("{", () => response.destroy()),
    (response) => response.write(Buffer.alloc(300 * 1024, " ")),
    // Until it is given up for its slowness.
    (response) => response.write(" "),
  ];
  let asked = 0;
  const server = createServer({ cert: certificate.certPem, key: certificate.keyPem }, (_request, response) => {
    answers[asked++ % answers.length]?.(response);
  });
  const url = `https://127.0.0.1:${await listenOn(t, server, "127.0.0.1")}/`;
  const { clock, bundles } = following(
    t,
    createOutboundFetch({ rootsPem: rootPem, mayDial: () => true, timeoutMs: 500 }),
  );
  bundles.follow([at(url, "west.example")]);
  for (let times = 1; times <= answers.length; times++) {
    await until(`attempt ${times} to be given up`, () => asked === times && clock.pending() === 1);
    clock.advance(60_000);
  }
  assert.equal(bundles.current().size, 0);
});

test("a real endpoint with TLS is read, and one on loopback or link-local is not dialled", async (t) => {
  const { trustBundlePem } = await temporaryAuthority(t, systemClock);
  const { certificate, rootPem } = await grpcCertificate(t, ["127.0.0.1"]);
  let requests = 0;
  const server = createServer({ cert: certificate.certPem, key: certificate.keyPem }, (_request, response) => {
    requests++;
    response.end(bundleOf(trustBundlePem, 300));
  });
  const url = `https://127.0.0.1:${await listenOn(t, server, "127.0.0.1")}/`;
  const { changes, bundles } = following(t, createOutboundFetch({ rootsPem: rootPem, mayDial: () => true }));
  const first = changes.next();
  bundles.follow([at(url, "west.example")]);
  await first;
  assert.equal(bundles.current().get("west.example"), trustBundlePem);
  assert.equal(requests, 1);

  const fetch = createOutboundFetch({ rootsPem: rootPem });
  for (const refused of [url, "https://169.254.169.254/", "https://[fe80::1]/", "https://[::ffff:127.0.0.1]/"]) {
    await assert.rejects(fetch(refused), (error: Error) => /may not be dialled/.test(String(error.cause)));
  }
  await assert.rejects(fetch(url.replace("127.0.0.1", "localhost")), /could not be fetched/);
  assert.equal(requests, 1);
  const elsewhere = createOutboundFetch({ mayDial: () => true });
  await assert.rejects(elsewhere(url), { code: "unavailable" }, "a server that the web's roots do not know");
});
