import assert from "node:assert/strict";
import { connect } from "node:net";
import { test } from "node:test";
import { status } from "@grpc/grpc-js";
import { TYPE_URL } from "../../src/xds/resource-set.ts";
import { startTestAds } from "../support/ads-server.ts";
import { openUnreadStream } from "../support/unread-stream.ts";
import { until } from "../support/until.ts";
import { AdsClient, NODE, sendDelta, sendSotw } from "../support/xds-client.ts";
import { type SeenResponse, textResource, textSets } from "../support/xds-messages.ts";

const { cluster, endpoint } = TYPE_URL;
const SETS = { cluster: { a: "1", b: "1" }, endpoint: { a: "1", b: "1" }, listener: { l: "1" } };
const RESOURCES = textSets(SETS);
const TOKEN = "shop/cart";
const bigCluster = (content: string) => textSets({ cluster: { a: content.repeat(10_000_000) } });

test("over TLS with a token, state-of-the-world: answer, acceptance, change, rejection, status", async (t) => {
  const ads = await startTestAds(t, RESOURCES);
  const stream = new AdsClient(t, { port: ads.tlsPort, rootPem: ads.rootPem, token: TOKEN }).sotw();
  sendSotw(stream, { node: NODE, typeUrl: cluster });
  const first = await stream.next();
  assert.deepEqual(first.resources, ["a=1", "b=1"]);
  sendSotw(stream, { typeUrl: cluster, responseNonce: first.nonce, versionInfo: first.version });
  await until("the acceptance", () => ads.answers.includes("acked Cluster"));
  assert.deepEqual(
    ads.service.status().map(({ connectedSinceMs, ...rest }) => ({ ...rest, sane: connectedSinceMs <= Date.now() })),
    [
      {
        nodeId: NODE.id,
        namespace: "shop",
        protocol: "sotw",
        sane: true,
        inSync: true,
        types: { cluster: { sentVersion: first.version, ackedVersion: first.version } },
      },
    ],
  );

  ads.source.set(textSets({ ...SETS, cluster: { a: "bad", b: "1" } }));
  const second = await stream.next();
  assert.deepEqual(second.resources, ["a=bad", "b=1"]);
  assert.equal(ads.service.status()[0]?.inSync, false);
  const answer = { typeUrl: cluster, responseNonce: second.nonce, versionInfo: first.version };
  sendSotw(stream, { ...answer, errorDetail: { message: "no such thing" } });
  await until("the rejection", () => ads.answers.includes("rejected Cluster: no such thing"));
  assert.deepEqual(ads.service.status()[0]?.types.cluster, {
    sentVersion: second.version,
    ackedVersion: first.version,
    rejection: "no such thing",
  });
});

test("over plaintext without a token, delta: answer, change, removal, reconnect", async (t) => {
  const ads = await startTestAds(t, RESOURCES);
  const client = new AdsClient(t, { port: ads.plaintextPort });
  const stream = client.delta();
  sendDelta(stream, { node: NODE, typeUrl: endpoint, resourceNamesSubscribe: ["a", "b"] });
  const first = await stream.next();
  assert.deepEqual(first.resources, ["a=1", "b=1"]);
  sendDelta(stream, { typeUrl: endpoint, responseNonce: first.nonce });
  ads.source.set(textSets({ ...SETS, endpoint: { b: "2" } }));
  const second = await stream.next();
  sendDelta(stream, { typeUrl: endpoint, responseNonce: second.nonce });
  assert.deepEqual([second.resources, second.removed], [["b=2"], ["a"]]);
  stream.call.cancel();
  await until("the stream to be forgotten", () => ads.service.status().length === 0 && ads.source.openHandles === 0);

  const again = client.delta();
  const initialResourceVersions = { b: textResource("b", "2").version, a: textResource("a", "1").version };
  const request = { node: NODE, typeUrl: endpoint, resourceNamesSubscribe: ["a", "b"], initialResourceVersions };
  sendDelta(again, request);
  ads.source.set(textSets({ ...SETS, endpoint: { b: "3" } }));
  const third = await again.next();
  assert.deepEqual([third.resources, third.removed.filter((name) => name !== "a")], [["b=3"], []]);
});

const refused: readonly { what: string; token?: string; node?: typeof NODE; code: status; details: RegExp }[] = [
  { what: "no token", code: status.UNAUTHENTICATED, details: /no valid token/ },
  { what: "a forged token", token: "root", code: status.UNAUTHENTICATED, details: /no valid token/ },
  { what: "a token of another namespace", token: "bank/cart", code: status.PERMISSION_DENIED, details: /namespace/ },
  {
    what: "a token of another account",
    token: "shop/admin",
    code: status.PERMISSION_DENIED,
    details: /SERVICE_ACCOUNT/,
  },
  {
    what: "a node id of no known form",
    token: TOKEN,
    node: { ...NODE, id: "me" },
    code: status.INVALID_ARGUMENT,
    details: /node id/,
  },
];
for (const { what, token, node = NODE, code, details } of refused) {
  test(`${what} is refused with a status that says why, and opens nothing`, async (t) => {
    const ads = await startTestAds(t, RESOURCES);
    const client = new AdsClient(t, { port: ads.tlsPort, rootPem: ads.rootPem, ...(token && { token }) });
    for (const stream of [client.sotw(), client.delta()]) {
      stream.call.write(Buffer.alloc(0));
      stream.call.end();
    }
    const stream = client.delta();
    sendDelta(stream, { node, typeUrl: cluster });
    const end = await stream.ended();
    assert.equal(end.code, code);
    assert.match(end.details, details);
    assert.equal(ads.source.openHandles, 0);
  });
}

const broken: readonly { what: string; bytes: Buffer; code: status; details: RegExp }[] = [
  {
    what: "garbage for a message",
    bytes: Buffer.from("garbage bytes"),
    code: status.INVALID_ARGUMENT,
    details: /not a discovery request/,
  },
  { what: "a first request without a node", bytes: Buffer.alloc(0), code: status.INVALID_ARGUMENT, details: /node/ },
  {
    what: "an oversized message",
    bytes: Buffer.alloc(5 * 1024 * 1024),
    code: status.RESOURCE_EXHAUSTED,
    details: /larger/,
  },
];
for (const { what, bytes, code, details } of broken) {
  test(`${what} ends that stream, and no other, on the same connection or elsewhere`, async (t) => {
    const ads = await startTestAds(t, RESOURCES);
    const [client, other] = [
      new AdsClient(t, { port: ads.plaintextPort }),
      new AdsClient(t, { port: ads.plaintextPort }),
    ];
    const streams = [client.sotw(), other.sotw()];
    for (const stream of streams) {
      sendSotw(stream, { node: NODE, typeUrl: cluster });
      const { nonce } = await stream.next();
      sendSotw(stream, { typeUrl: cluster, responseNonce: nonce });
    }
    const bad = client.sotw();
    bad.call.write(bytes);
    const end = await bad.ended();
    assert.equal(end.code, code);
    assert.match(end.details, details);
    ads.source.set(textSets({ ...SETS, cluster: { a: "2", b: "1" } }));
    for (const stream of streams) assert.deepEqual((await stream.next()).resources, ["a=2", "b=1"]);
  });
}

test("garbage instead of HTTP/2, and headers without end, close that connection only", async (t) => {
  const ads = await startTestAds(t, RESOURCES);
  const stream = new AdsClient(t, { port: ads.plaintextPort }).sotw();
  sendSotw(stream, { node: NODE, typeUrl: cluster });
  const { nonce } = await stream.next();
  sendSotw(stream, { typeUrl: cluster, responseNonce: nonce });
  for (const port of [ads.plaintextPort, ads.tlsPort]) {
    const socket = connect(port, "127.0.0.1");
    let closed = false;
    socket.on("error", () => {});
    socket.on("close", () => {
      closed = true;
    });
    socket.resume();
    socket.end("GET / HTTP/1.1\r\n\r\n".repeat(10));
    await until("the connection to be closed", () => closed);
  }
  const wide = new AdsClient(t, { port: ads.plaintextPort, token: "x".repeat(100_000) }).sotw();
  sendSotw(wide, { node: NODE, typeUrl: cluster });
  await wide.ended();
  ads.source.set(textSets({ ...SETS, cluster: { a: "2", b: "1" } }));
  assert.deepEqual((await stream.next()).resources, ["a=2", "b=1"]);
});

test("a stream that never sends a request is ended", async (t) => {
  const ads = await startTestAds(t, RESOURCES, { firstRequestMs: 50 });
  const end = await new AdsClient(t, { port: ads.plaintextPort }).delta().ended();
  assert.deepEqual(end, { code: status.INVALID_ARGUMENT, details: "no request within 50 ms" });
});

test("streams and names beyond the limits are refused", async (t) => {
  const ads = await startTestAds(t, RESOURCES, { maxStreams: 1, maxNames: 2 });
  const client = new AdsClient(t, { port: ads.plaintextPort });
  const first = client.delta();
  sendDelta(first, { node: NODE, typeUrl: cluster });
  await first.next();
  assert.equal((await client.delta().ended()).code, status.RESOURCE_EXHAUSTED);
  assert.equal(first.open, true);
  sendDelta(first, { typeUrl: endpoint, resourceNamesSubscribe: ["a", "b", "c"] });
  assert.equal((await first.ended()).code, status.RESOURCE_EXHAUSTED);
});

test("names that nothing has are bounded over all streams of a workload, and go with them", async (t) => {
  const ads = await startTestAds(t, RESOURCES, { strangeNameBytes: 1000 });
  const client = new AdsClient(t, { port: ads.plaintextPort });
  const ask = (stream: ReturnType<AdsClient["delta"]>, names: readonly string[], node?: typeof NODE) =>
    sendDelta(stream, { ...(node && { node }), typeUrl: endpoint, resourceNamesSubscribe: [...names] });
  const [first, second] = [client.delta(), client.sotw()];
  ask(first, ["a", "b", "x1", "x2", "x3", "x4"], NODE);
  await first.next();
  sendSotw(second, { node: NODE, typeUrl: endpoint, resourceNames: ["a", "x1", "x2", "x3", "x4"] });
  await second.next();
  ask(first, ["x5", "x6"]);
  const end = await first.ended();
  assert.deepEqual(end, { code: status.RESOURCE_EXHAUSTED, details: "too many names that nothing has" });
  const third = client.delta();
  ask(third, ["x7", "x8", "x9", "x10"], NODE);
  await third.next();
  assert.equal(second.open, true);
});

test("a workload that opens ever more streams gives them up to others, and has no more of them for it", async (t) => {
  const ads = await startTestAds(t, RESOURCES, { maxStreams: 3 });
  const connect = (token: string) => new AdsClient(t, { port: ads.tlsPort, rootPem: ads.rootPem, token });
  const open = async (client: AdsClient, account: string) => {
    const stream = client.delta();
    sendDelta(stream, { node: { ...NODE, metadata: { SERVICE_ACCOUNT: account } }, typeUrl: cluster });
    await stream.next();
    return stream;
  };
  const greedy = connect("shop/admin");
  const many = [await open(greedy, "admin"), await open(connect("shop/admin"), "admin"), await open(greedy, "admin")];
  const more = await greedy.delta().ended();
  assert.deepEqual(more, { code: status.RESOURCE_EXHAUSTED, details: "more than 3 streams" });
  const honest = await open(connect(TOKEN), "cart");
  assert.equal((await many[2]?.ended())?.code, status.RESOURCE_EXHAUSTED);
  assert.deepEqual([many[0]?.open, many[1]?.open, honest.open], [true, true, true]);
});

test("a proxy that does not read does not hold up the others", async (t) => {
  const ads = await startTestAds(t, bigCluster("0"), { bytesInFlight: 1, bytesHeldMs: 20 });
  const isOpen = openUnreadStream(t, ads.plaintextPort, cluster);
  await until("the slow proxy to be connected", () => ads.service.status().length === 1);
  const quick = new AdsClient(t, { port: ads.plaintextPort }).sotw();
  sendSotw(quick, { node: NODE, typeUrl: cluster });
  assert.equal((await quick.next()).resources[0]?.at(-1), "0");
  assert.equal(isOpen(), true);
});

test("a proxy that is slow to answer is not sent the states in between", async (t) => {
  const ads = await startTestAds(t, textSets(SETS));
  const [slow, quick] = [1, 2].map(() => new AdsClient(t, { port: ads.plaintextPort }).sotw());
  assert.ok(slow && quick);
  for (const stream of [slow, quick]) sendSotw(stream, { node: NODE, typeUrl: endpoint, resourceNames: ["a"] });
  const first = await slow.next();
  for (const content of ["1", "2", "3", "4"]) {
    const response: SeenResponse = await quick.next();
    assert.deepEqual(response.resources, [`a=${content}`]);
    sendSotw(quick, { typeUrl: endpoint, resourceNames: ["a"], responseNonce: response.nonce });
    if (content !== "4") ads.source.set(textSets({ endpoint: { a: `${Number(content) + 1}` } }));
  }
  sendSotw(slow, { typeUrl: endpoint, resourceNames: ["a"], responseNonce: first.nonce });
  assert.deepEqual((await slow.next()).resources, ["a=4"]);
});

test("a proxy that never reads is given up", async (t) => {
  const ads = await startTestAds(t, bigCluster("0"), { stalledWriteMs: 200 });
  openUnreadStream(t, ads.plaintextPort, cluster);
  await until("the proxy to be connected", () => ads.source.openHandles === 1);
  await until("the proxy to be given up", () => ads.source.openHandles === 0 && ads.service.status().length === 0);
});

test("a client that half-closes its stream is let go", async (t) => {
  const ads = await startTestAds(t, RESOURCES);
  const stream = new AdsClient(t, { port: ads.plaintextPort }).sotw();
  sendSotw(stream, { node: NODE, typeUrl: cluster });
  await stream.next();
  stream.call.end();
  assert.equal((await stream.ended()).code, status.OK);
  await until("the stream to be forgotten", () => ads.service.status().length === 0);
});

test("stopping ends every stream as unavailable, so that proxies go elsewhere, and refuses new ones", async (t) => {
  const ads = await startTestAds(t, RESOURCES);
  const client = new AdsClient(t, { port: ads.plaintextPort });
  const stream = client.sotw();
  sendSotw(stream, { node: NODE, typeUrl: cluster });
  await stream.next();
  ads.service.stop();
  assert.equal((await stream.ended()).code, status.UNAVAILABLE);
  assert.equal((await client.delta().ended()).code, status.UNAVAILABLE);
  await ads.server.stop(1000);
  assert.equal(ads.source.openHandles, 0);
});

test("secrets are served on a stream of their own service, too", async (t) => {
  const ads = await startTestAds(t, textSets({ secret: { default: "key", ROOTCA: "root", other: "x" } }));
  const stream = new AdsClient(t, { port: ads.tlsPort, rootPem: ads.rootPem, token: TOKEN }).secrets();
  sendSotw(stream, { node: NODE, typeUrl: TYPE_URL.secret, resourceNames: ["default", "ROOTCA"] });
  assert.deepEqual((await stream.next()).resources, ["ROOTCA=root", "default=key"]);
});
