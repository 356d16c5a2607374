import { assertStrictForm } from "../../platform/assert-strict-form.ts";
import type { Clock } from "../../platform/clock.ts";
import { messageOf, TrysailError } from "../../platform/errors.ts";
import type { Logger } from "../../platform/log.ts";
import { certificatesOf, isSelfSigned, subjectText } from "../x509/pem-certificates.ts";

/** Roots that somebody else keeps. */
export interface FollowedRoots {
  /** The last good ones. */
  pem(): string;
  /** Called when they are others than before. Returns the unsubscription. */
  onChange(listener: () => void): () => void;
  stop(): void;
}

export interface FollowRootsDeps {
  /** For errors and the log. */
  readonly name: string;
  /** Undefined where there is nothing. */
  read(): Promise<Uint8Array | undefined>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics?: { sourceUsable(isUsable: boolean): void; activeEnds(notAfter: number): void };
}

const POLL_MS = 5000;
const LARGEST_BYTES = 256 * 1024;

/**
 * Reads roots, and again every five seconds. Rejects with `failed-precondition` where the first read finds none that
 * can be used; later the last good ones stay in use, and the log says what is wrong.
 */
export async function followRoots(deps: FollowRootsDeps): Promise<FollowedRoots> {
  const { name, clock, log, metrics } = deps;
  const listeners = new Set<() => void>();
  const read = async (): Promise<string> => parseRoots(name, await deps.read(), clock.now());
  let pem = await read();
  let problem: string | null = null;
  let cancel = (): void => {};
  let stopped = false;

  const follow = async (): Promise<void> => {
    try {
      const next = await read();
      problem = null;
      if (next !== pem) {
        pem = next;
        log.info({ source: name }, "the roots of the external signer have changed");
        for (const listener of [...listeners]) listener();
      }
    } catch (error) {
      if (problem !== messageOf(error)) log.error({ source: name, err: error }, "the roots cannot be used");
      problem = messageOf(error);
    }
  };
  const report = (): void => {
    metrics?.sourceUsable(problem === null);
    metrics?.activeEnds(Math.min(...certificatesOf(pem).map(({ validToDate }) => validToDate.getTime())));
  };
  const look = (): void => {
    report();
    cancel = clock.after(POLL_MS, () => {
      void follow().finally(() => {
        if (!stopped) look();
      });
    });
  };

  look();
  return {
    pem: () => pem,
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    stop() {
      stopped = true;
      cancel();
    },
  };
}

/** Each once, in their order, without those that have ended. */
function parseRoots(name: string, bytes: Uint8Array | undefined, now: number): string {
  const refuse = (problem: string) => new TrysailError("failed-precondition", `${name} ${problem}`);
  if (bytes === undefined) throw refuse("is missing");
  if (bytes.length > LARGEST_BYTES) throw refuse(`is larger than ${LARGEST_BYTES / 1024} KB`);
  const roots = readCertificates(Buffer.from(bytes).toString("latin1"), refuse);
  for (const root of roots) {
    if (!root.ca) throw refuse(`holds ${subjectText(root)}, which is not the certificate of an authority`);
    if (!isSelfSigned(root)) throw refuse(`holds ${subjectText(root)}, which is not signed by its own key`);
  }
  if (roots.length === 0) throw refuse("holds no certificate in PEM");
  const live = roots.filter(({ validToDate }) => validToDate.getTime() > now);
  if (live.length === 0) throw refuse("holds no root that is still valid");
  return [...new Set(live.map((root) => root.toString()))].join("");
}

function readCertificates(pem: string, refuse: (problem: string) => TrysailError) {
  try {
    const certificates = certificatesOf(pem);
    for (const { raw } of certificates) assertStrictForm(raw);
    return certificates;
  } catch (error) {
    throw refuse(`cannot be read (${messageOf(error)})`);
  }
}
