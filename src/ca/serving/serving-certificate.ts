import { generateKeyPair } from "node:crypto";
import { isIP } from "node:net";
import { promisify } from "node:util";
import type { Clock } from "../../platform/clock.ts";
import { messageOf, TrysailError } from "../../platform/errors.ts";
import type { Logger } from "../../platform/log.ts";
import { type Random, systemRandom } from "../../platform/random.ts";
import { SecretBytes } from "../../platform/secret-bytes.ts";
import type { ServingRequest } from "../issue.ts";
import type { IssuedCertificate } from "../signer.ts";
import { buildCsr } from "../x509/build-csr.ts";
import { isDnsSubdomain } from "../x509/dns-names.ts";
import { hostName } from "../x509/extensions.ts";
import { keepRenewed, type Renewal } from "./keep-renewed.ts";

/** What the control plane's TLS ports present. */
export interface KeyAndCertificate {
  readonly chainPem: string;
  /** PKCS #8 PEM. */
  readonly keyPem: SecretBytes;
  /** Milliseconds since the epoch. */
  readonly notAfter: number;
}

export interface ServingCertificate {
  /** Resolves with the first certificate in place; rejects where it cannot be issued. */
  start(): Promise<void>;
  /** The newest one. Throws before `start()` resolved. */
  current(): KeyAndCertificate;
  /** Called behind every renewal, with what TLS servers must now present. Returns the unsubscription. */
  onRenew(listener: (renewed: KeyAndCertificate) => void): () => void;
  /** To be called when another authority signs. */
  renewNow(): void;
  stop(): void;
}

export interface ServingCertificateDeps {
  /** Has it signed by whoever signs at that moment: `issueServing`. */
  issue(request: ServingRequest): Promise<IssuedCertificate>;
  readonly clock: Clock;
  readonly log: Logger;
  /** DNS names and IP addresses under which clients reach the control plane. */
  readonly hosts: readonly string[];
  readonly ttlMs?: number;
  readonly random?: Random;
  /** Called each time that it could not be renewed, which is tried again: for an Event. */
  onNotRenewed?(message: string): void;
}

const DAY_MS = 24 * 60 * 60 * 1000;
const makeKeyPair = promisify(generateKeyPair);

/** The control plane's own certificate, renewed at half its life; an old one stays until a new one is there. */
export function createServingCertificate(deps: ServingCertificateDeps): ServingCertificate {
  const listeners = new Set<(renewed: KeyAndCertificate) => void>();
  let newest: KeyAndCertificate | undefined;
  let renewal: Renewal | undefined;

  const start = async (): Promise<void> => {
    assertHosts(deps.hosts);
    await new Promise<void>((resolve, reject) => {
      renewal = keepRenewed({
        clock: deps.clock,
        random: deps.random ?? systemRandom,
        make: () => makeServing(deps),
        made(value) {
          const renewed = newest !== undefined;
          newest = value;
          if (renewed) for (const listener of listeners) listener(value);
          else resolve();
        },
        failed(error, retryMs) {
          if (newest === undefined) {
            renewal?.stop();
            reject(error);
          } else {
            const message = "the control plane's own certificate was not renewed";
            deps.log.error({ err: error, retryMs }, message);
            const until = new Date(newest.notAfter).toISOString();
            deps.onNotRenewed?.(`${message} (${messageOf(error)}); it is valid until ${until}`);
          }
        },
      });
    });
  };

  return {
    start,
    current() {
      if (newest === undefined) throw new TrysailError("internal", "the serving certificate was read before its start");
      return newest;
    },
    onRenew(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    renewNow: () => renewal?.renewWithin(0),
    stop: () => renewal?.stop(),
  };
}

function assertHosts(hosts: readonly string[]): void {
  if (hosts.length === 0) throw new TrysailError("invalid-argument", "the serving certificate needs a name");
  const wrong = hosts.find((host) => isIP(host) === 0 && !isDnsSubdomain(host));
  if (wrong !== undefined) {
    throw new TrysailError("invalid-argument", `not a host name or IP address for the serving certificate: ${wrong}`);
  }
}

async function makeServing({ issue, hosts, ttlMs = DAY_MS }: ServingCertificateDeps): Promise<KeyAndCertificate> {
  const keys = await makeKeyPair("ec", { namedCurve: "P-256" });
  const publicKey = keys.publicKey.export({ type: "spki", format: "der" });
  const csr = () => buildCsr({ publicKey, privateKey: keys.privateKey, names: hosts.map(hostName) });
  const { chainPem, notAfter } = await issue({ publicKey, hosts, ttlMs, csr });
  const keyPem = new SecretBytes(Buffer.from(keys.privateKey.export({ type: "pkcs8", format: "pem" })));
  return { chainPem, keyPem, notAfter };
}

/** As TLS takes it. The key stays bytes, since whoever takes it keeps it. */
export function pemPairOf({ chainPem, keyPem }: KeyAndCertificate): { certPem: string; keyPem: Buffer } {
  return { certPem: chainPem, keyPem: Buffer.from(keyPem.reveal()) };
}
