import { generateKeyPair } from "node:crypto";
import { promisify } from "node:util";
import { pemBytes } from "../platform/pem.ts";
import { SecretBytes } from "../platform/secret-bytes.ts";

export interface KeyPair {
  /** DER of the SubjectPublicKeyInfo. */
  readonly publicKey: Uint8Array;
  /** PKCS #8 PEM. Whoever takes the pair wipes it once it is passed on. */
  readonly privateKeyPem: SecretBytes;
}

/** P-256 keys, made ahead of need in the thread pool, so that a herd of proxies does not wait for them. */
export interface KeyPool {
  take(): Promise<KeyPair>;
  /** Wipes the keys that nobody took, and makes no more of them. */
  stop(): void;
}

const makeKeyPair = promisify(generateKeyPair);

/** Keeps `size` pairs ready, in memory only. One that is taken is forgotten here. */
export function createKeyPool({ size }: { readonly size: number }): KeyPool {
  const ready: KeyPair[] = [];
  let filling = false;
  let stopped = false;

  // One at a time: the thread pool also reads files and looks names up.
  const fill = async (): Promise<void> => {
    if (filling) return;
    filling = true;
    try {
      while (!stopped && ready.length < size) {
        const pair = await createPair();
        if (stopped) pair.privateKeyPem.wipe();
        else ready.push(pair);
      }
    } finally {
      filling = false;
    }
  };

  void fill();
  return {
    async take() {
      const pair = ready.shift() ?? (await createPair());
      if (!stopped) void fill();
      return pair;
    },
    stop() {
      stopped = true;
      for (const pair of ready.splice(0)) pair.privateKeyPem.wipe();
    },
  };
}

async function createPair(): Promise<KeyPair> {
  const { publicKey, privateKey } = await makeKeyPair("ec", {
    namedCurve: "P-256",
    publicKeyEncoding: { type: "spki", format: "der" },
    privateKeyEncoding: { type: "pkcs8", format: "der" },
  });
  const privateKeyPem = new SecretBytes(pemBytes("PRIVATE KEY", privateKey));
  privateKey.fill(0);
  return { publicKey, privateKeyPem };
}
