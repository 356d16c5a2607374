/** A thread that plays an API server: it writes reviews and reads no more of the answers than it must. */
import { connect } from "node:tls";
import { parentPort, workerData } from "node:worker_threads";
import type { InjectLoad } from "./inject.ts";
import { REVIEW_FIELD } from "./review-template.ts";

const work: Omit<InjectLoad, "rootCertFile"> & { root: string; template: string } = workerData;
const { port, root, connections, deployments, amount, template } = work;

const request = Buffer.from(
  `POST /inject HTTP/1.1\r\nHost: trysail\r\nContent-Type: application/json\r\n` +
    `Content-Length: ${Buffer.byteLength(template)}\r\n\r\n${template}`,
);
/** No run repeats what another asked. */
let reviews = Date.now() * 1000;

/** The next review: of a pod of its own, and of the next Deployment. */
function nextRequest(): Buffer {
  const number = reviews++;
  const next = Buffer.from(request);
  writeField(next, REVIEW_FIELD.uid, number.toString(16));
  writeField(next, REVIEW_FIELD.volume, number.toString(36));
  writeField(next, REVIEW_FIELD.deployment, (deployments === null ? number : number % deployments).toString(16));
  return next;
}

function writeField(into: Buffer, field: string, value: string): void {
  const text = value.padStart(field.length, "0").slice(-field.length);
  for (let at = into.indexOf(field); at >= 0; at = into.indexOf(field, at)) into.write(text, at);
}

const began = performance.now();
const counted = began + ("seconds" in amount ? amount.warmUpSeconds * 1000 : 0);
const end = "seconds" in amount ? counted + amount.seconds * 1000 : Number.POSITIVE_INFINITY;
let left = "reviews" in amount ? amount.reviews : Number.POSITIVE_INFINITY;
const times: number[] = [];

/** Resolves when there is no more to do; rejects for an answer that is not a patch. */
function play(): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: "127.0.0.1", servername: "localhost", ca: root });
    let sentAt = 0;
    let missing = -1;
    let head = "";
    const send = () => {
      sentAt = performance.now();
      missing = -1;
      head = "";
      socket.write(nextRequest());
    };
    socket.setNoDelay(true);
    socket.once("secureConnect", () => {
      if (left-- > 0) send();
      else socket.end(resolve);
    });
    socket.once("error", reject);
    socket.on("data", (chunk: Buffer) => {
      if (missing < 0) {
        head += chunk.toString("latin1");
        const length = /^HTTP\/1\.1 200 [\s\S]*?\r\ncontent-length: (\d+)\r\n/i.exec(head)?.[1];
        const headEnd = head.indexOf("\r\n\r\n");
        if (headEnd < 0) return;
        if (length === undefined || !head.includes('"patch"')) {
          if (length === undefined || head.length - headEnd - 4 >= Number(length)) {
            return void reject(new Error(`the webhook answered ${head.slice(0, 400)}`));
          }
          return;
        }
        missing = Number(length) - (head.length - headEnd - 4);
      } else missing -= chunk.length;
      if (missing > 0) return;
      const now = performance.now();
      if (sentAt >= counted && now <= end) times.push(now - sentAt);
      if (now < end && left-- > 0) send();
      else socket.end(resolve);
    });
  });
}

await Promise.all(Array.from({ length: connections }, play));
times.sort((a, b) => a - b);
const seconds = "seconds" in amount ? amount.seconds : (performance.now() - began) / 1000;
parentPort?.postMessage({
  n: times.length,
  per_s: times.length / seconds,
  p99_ms: times[Math.floor(times.length * 0.99)] ?? Number.POSITIVE_INFINITY,
});
