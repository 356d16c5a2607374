/** A thread that plays an API server: it writes reviews and reads no more of the answers than it must. */
import { connect } from "node:tls";
import { parentPort, workerData } from "node:worker_threads";
import type { InjectLoad } from "./inject.ts";

const { port, root, connections, amount, body }: Omit<InjectLoad, "rootCertFile"> & { root: string; body: string } =
  workerData;

const request = Buffer.from(
  `POST /inject HTTP/1.1\r\nHost: trysail\r\nContent-Type: application/json\r\n` +
    `Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
);
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
      socket.write(request);
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
