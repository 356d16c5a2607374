import { X509Certificate } from "node:crypto";
import { Type } from "typebox";
import { Compile } from "typebox/compile";
import { assertStrictForm } from "../../platform/assert-strict-form.ts";
import { messageOf, TrysailError } from "../../platform/errors.ts";

/** What a foreign trust domain publishes of itself, as far as certificates need it. */
export interface SpiffeBundle {
  /** Its roots that have not ended, as PEM; never empty. */
  readonly rootsPem: string;
  /** When to look again, in milliseconds; null where it does not say. */
  readonly refreshHintMs: number | null;
  /** Which of its publisher's bundles it is, later ones being higher; null where it does not say. */
  readonly sequence: number | null;
}

const MOST_KEYS = 100;
const JsonBundle = Compile(
  Type.Object({
    keys: Type.Array(
      Type.Object({
        use: Type.Optional(Type.String()),
        x5c: Type.Optional(Type.Array(Type.String(), { maxItems: 8 })),
      }),
      { maxItems: MOST_KEYS },
    ),
    // A number of more than 53 bits loses its last digits here, and never its place in their order.
    spiffe_sequence: Type.Optional(Type.Integer({ minimum: 0 })),
    spiffe_refresh_hint: Type.Optional(Type.Number({ minimum: 0 })),
  }),
);

/**
 * Reads a bundle in SPIFFE's form of a JWK set (SPIFFE Trust Domain and Bundle, 4). Keys for JWT-SVIDs, and of uses that
 * are not known, are skipped, as the standard asks, and so are roots that have ended. Throws `invalid-argument` saying what
 * is wrong.
 */
export function parseSpiffeBundle(text: string, now: number): SpiffeBundle {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw broken(`is not JSON: ${messageOf(error)}`);
  }
  if (!JsonBundle.Check(value)) throw broken(`is not a set of at most ${MOST_KEYS} keys`);
  const roots = value.keys.filter(({ use }) => use === "x509-svid").map(({ x5c }) => rootOf(x5c));
  if (roots.length === 0) throw broken("has no key for X.509-SVIDs");
  const live = roots.filter(({ validToDate }) => validToDate.getTime() > now);
  if (live.length === 0) throw broken("has no root that is still valid");
  const { spiffe_refresh_hint: hint, spiffe_sequence: sequence = null } = value;
  return {
    rootsPem: [...new Set(live.map((root) => root.toString()))].join(""),
    refreshHintMs: hint === undefined ? null : hint * 1000,
    sequence,
  };
}

/** 4.2.2: `x5c` holds exactly one certificate, that of the authority. */
function rootOf(x5c: readonly string[] = []): X509Certificate {
  const [base64, ...more] = x5c;
  if (base64 === undefined || more.length > 0) throw broken("has a key without exactly one certificate");
  let certificate: X509Certificate;
  try {
    certificate = new X509Certificate(Buffer.from(base64, "base64"));
    assertStrictForm(certificate.raw);
  } catch (error) {
    throw broken(`has a certificate that cannot be read: ${messageOf(error)}`);
  }
  if (!certificate.ca) throw broken("has a certificate that is not one of an authority");
  return certificate;
}

function broken(problem: string): TrysailError {
  return new TrysailError("invalid-argument", `the SPIFFE bundle ${problem}`);
}
