import { listAll } from "../../kubernetes/list-all.ts";
import { isRecord } from "../../mesh/conform.ts";
import { type Check, type CheckTarget, namesIn, type Outcome } from "./check.ts";

/** A certificate begins a minute before it is made, and a token when it is made. */
const WARN_MS = 5000;
const FAIL_MS = 60_000;
/** The header has whole seconds. */
const HALF_SECOND_MS = 500;

/**
 * Against the API server's clock (`Date`, RFC 9110 6.6.1): this machine's, and each node's, which its kubelet writes
 * into the node's Lease. A Lease proves that a clock is ahead; one that is behind looks like a node that is away.
 */
export const clockSkew: Check = {
  name: "clocks",
  when: "always",
  async run(target) {
    const askedAt = target.clock.now();
    const server = (await target.client.serverTime()) + HALF_SECOND_MS;
    const answeredAt = target.clock.now();
    const offMs = (askedAt + answeredAt) / 2 - server;
    const sureMs = HALF_SECOND_MS + (answeredAt - askedAt) / 2;
    return [ofThisMachine(offMs, sureMs), ...(await ofNodes(target, server))];
  },
};

function ofThisMachine(offMs: number, sureMs: number): Outcome {
  const seconds = (Math.abs(offMs) / 1000).toFixed(1);
  if (Math.abs(offMs) - sureMs < WARN_MS) {
    return { status: "pass", message: `this machine and the API server agree to ${seconds} s` };
  }
  const message = `this machine is ${seconds} s ${offMs > 0 ? "ahead of" : "behind"} the API server`;
  return { status: "warn", message, action: "set the clock that is wrong, best by NTP on every machine" };
}

async function ofNodes({ client }: CheckTarget, server: number): Promise<readonly Outcome[]> {
  const leases = await listAll(client, "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases");
  const ahead = leases.flatMap(({ metadata, spec }) => {
    const renewedAt = isRecord(spec) ? Date.parse(String(spec.renewTime)) : Number.NaN;
    // NaN is not ahead.
    return renewedAt - server - HALF_SECOND_MS > WARN_MS
      ? [{ name: metadata.name ?? "", offMs: renewedAt - server }]
      : [];
  });
  if (leases.length === 0) return [];
  if (ahead.length === 0) {
    return [{ status: "pass", message: `none of ${leases.length} nodes is ahead of the API server` }];
  }
  const worst = Math.max(...ahead.map(({ offMs }) => offMs));
  const message = `nodes are up to ${(worst / 1000).toFixed(1)} s ahead of the API server: ${namesIn(ahead.map(({ name }) => name))}`;
  const action = "set their clocks by NTP: to other nodes their certificates and tokens have not begun yet";
  return [{ status: worst > FAIL_MS ? "fail" : "warn", message, action }];
}
