import { type RequestOptions, request } from "node:https";
import type { TestControlPlane } from "./control-plane.ts";

/** Asks a whole control plane for a certificate over HTTPS, on a connection of its own. */
export function postCertificateRequest(
  { ports }: TestControlPlane,
  csr: string | Buffer,
  options: RequestOptions,
): Promise<{ readonly status: number | undefined; readonly body: string }> {
  const place = { host: "localhost", port: ports.https, path: "/v1/certificates", method: "POST", agent: false };
  return new Promise((resolve, reject) => {
    const asking = request({ ...place, ...options }, (answer) => {
      let body = "";
      answer.setEncoding("utf8").on("data", (text: string) => {
        body += text;
      });
      answer.on("end", () => resolve({ status: answer.statusCode, body }));
    });
    asking.on("error", reject);
    asking.end(csr);
  });
}
