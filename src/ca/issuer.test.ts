import assert from "node:assert/strict";
import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { test } from "node:test";
import { buildCsr } from "../../test/support/csr.ts";
import { temporaryState } from "../../test/support/state.ts";
import { systemClock as clock } from "../platform/clock.ts";
import { createLog } from "../platform/log.ts";
import { systemRandom as random } from "../platform/random.ts";
import { loadAuthority } from "./authority/authority.ts";
import { createFolderStore } from "./authority/authority-folder-store.ts";
import { createOwnIssuer } from "./issuer.ts";
import { createIssuingThreads, type IssuingThreads } from "./threads/issuing-threads.ts";

const DAY_MS = 86_400_000;
const trustDomain = "cluster.local";
const identity = { trustDomain, namespace: "shop", serviceAccount: "cart" };

test("a life longer than any before is written down before a thread signs, as it was cut", async (t) => {
  const store = createFolderStore({ state: await temporaryState(t), trustDomain });
  const authority = await loadAuthority({ store, clock, random, trustDomain, log: createLog("silent") });
  const threads = createIssuingThreads({ maxThreads: 1, idleMs: 1000, clock });
  t.after(() => threads.stop());
  const written: (number | undefined)[] = [];
  const watched: Pick<IssuingThreads, "run"> = {
    async run(job, material) {
      written.push((await store.load())?.state?.active.longestLifeMs);
      return threads.run(job, material);
    },
  };
  const issuer = createOwnIssuer({ authority, clock, maxTtlMs: 60 * DAY_MS, threads: watched });
  const csr = buildCsr({ keys: generateKeyPairSync("ec", { namedCurve: "P-256" }) });
  const began = clock.now();
  const { chainPem, notAfter } = await issuer.answer({ csr, identity, ttlMs: 400 * DAY_MS });
  assert.equal(new X509Certificate(chainPem).validToDate.getTime(), notAfter);
  const lifeMs = notAfter - began;
  assert.ok(lifeMs > 59 * DAY_MS && lifeMs <= 61 * DAY_MS, `${lifeMs} ms`);
  const [longest = 0] = written;
  assert.ok(longest >= lifeMs && longest < 80 * DAY_MS, `${longest} ms is written down`);
});
