import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { connect } from "node:tls";
import { systemClock } from "../../src/platform/clock.ts";
import { temporaryAuthority } from "../support/authority.ts";
import { identityOf } from "../support/caller.ts";
import { testControlPlane } from "../support/control-plane.ts";

/**
 * Node judges a client's certificate when a connection begins. One that may be replaced later, by a renegotiation of
 * TLS 1.2, would let a workload be any other: it would show its own first, and then one that it has made itself.
 */
test("a client of either port shows one certificate in its connection, and cannot negotiate another", async (t) => {
  const mesh = await testControlPlane(t, {});
  const someone = await identityOf(await temporaryAuthority(t, systemClock), {
    namespace: "shop",
    serviceAccount: "cart",
  });
  for (const port of [mesh.ports.grpc, mesh.ports.https]) {
    const socket = connect({
      ...{ port, host: "localhost", ca: readFileSync(mesh.rootPath), ALPNProtocols: ["h2", "http/1.1"] },
      ...{ cert: someone.chainPem, key: someone.keyPem, maxVersion: "TLSv1.2" },
    });
    t.after(() => socket.destroy());
    socket.resume();
    await once(socket, "secureConnect");
    assert.equal(socket.getProtocol(), "TLSv1.2");
    const refused = new Promise<string>((resolve) => {
      socket.on("error", (error) => resolve(error.message));
      socket.once("close", () => resolve("closed"));
      socket.renegotiate({}, (error) => resolve(error?.message ?? "it was negotiated anew"));
    });
    assert.match(await refused, /no renegotiation/i, `port ${port === mesh.ports.grpc ? "grpc" : "https"}`);
  }
});
