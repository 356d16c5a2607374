import { X509Certificate } from "node:crypto";
import { type Static, Type } from "typebox";
import { Compile } from "typebox/compile";
import { assertStrictForm } from "../platform/assert-strict-form.ts";
import { messageOf } from "../platform/errors.ts";
import { pemBlocks } from "../platform/pem.ts";
import { isTrustDomain } from "../platform/trust-domain.ts";
import { conform } from "./conform.ts";
import { closed } from "./istio/fields.ts";

/** Whose certificates count in other trust domains than the mesh's own: an entry of MeshConfig's `caCertificates`. */
export interface ForeignAuthority {
  /** It vouches for these and for no other. Never empty, and never one of the mesh's own. */
  readonly trustDomains: readonly string[];
  /** Its roots as PEM, or where it publishes them (SPIFFE Federation, the `https_web` profile). */
  readonly roots: { readonly pem: string } | { readonly bundleUrl: string };
}

const CaCertificate = Type.Object(
  {
    pem: Type.Optional(Type.String()),
    spiffeBundleUrl: Type.Optional(Type.String()),
    trustDomains: Type.Optional(Type.Array(Type.String())),
  },
  closed,
);
/** https://istio.io/latest/docs/reference/config/istio.mesh.v1alpha1/#MeshConfig-CertificateData */
export const CaCertificates = Type.Array(CaCertificate);
const validator = Compile(CaCertificates);

/**
 * Reads the whole list. Where anything is wrong with it, `last` stays, as far as it speaks for no domain that has become
 * the mesh's own; `report` is told of the entry (`[2]`), what is wrong with it, and nothing of what `conform` says.
 */
export function parseForeignAuthorities(
  written: unknown,
  options: {
    readonly ownDomains: readonly string[];
    readonly last: readonly ForeignAuthority[];
    report(entry: string, problem: string): void;
  },
): readonly ForeignAuthority[] {
  const { value, mismatches } = conform(CaCertificates, written);
  const entries = mismatches.length === 0 && validator.Check(value) ? value : null;
  const read = (entries ?? []).map((entry) => parseForeignAuthority(entry, options.ownDomains));
  read.forEach((one, index) => {
    if ("problem" in one) options.report(`[${index}]`, one.problem);
  });
  const authorities = read.flatMap((one) => ("authority" in one ? [one.authority] : []));
  if (entries !== null && authorities.length === entries.length) return authorities;
  return options.last.filter(({ trustDomains }) => !trustDomains.some((domain) => options.ownDomains.includes(domain)));
}

/**
 * Reads one entry, or says what is wrong with it. In Istio one without trust domains speaks for the mesh itself; here
 * only the mesh's own authority does, so a foreign root can never make a workload of this mesh.
 */
function parseForeignAuthority(
  { pem, spiffeBundleUrl, trustDomains = [] }: Static<typeof CaCertificate>,
  ownDomains: readonly string[],
): { readonly authority: ForeignAuthority } | { readonly problem: string } {
  if (trustDomains.length === 0) return { problem: "must name the trustDomains that it vouches for" };
  const wrong = trustDomains.find((domain) => !isTrustDomain(domain));
  if (wrong !== undefined) return { problem: `names ${JSON.stringify(wrong)}, which is not a trust domain` };
  const own = trustDomains.find((domain) => ownDomains.includes(domain));
  if (own !== undefined) return { problem: `names ${own}, for which only the mesh's own authority vouches` };
  const sorted = [...new Set(trustDomains)].sort();
  if (pem !== undefined && spiffeBundleUrl === undefined) {
    const read = readRoots(pem);
    return "problem" in read ? read : { authority: { trustDomains: sorted, roots: read } };
  }
  if (spiffeBundleUrl === undefined || pem !== undefined) return { problem: "must have either pem or spiffeBundleUrl" };
  const url = URL.parse(spiffeBundleUrl);
  if (url?.protocol !== "https:") return { problem: "has a spiffeBundleUrl that is not an https:// URL" };
  // It is said in the log.
  if (url.username !== "" || url.password !== "") return { problem: "has a spiffeBundleUrl with credentials in it" };
  return { authority: { trustDomains: sorted, roots: { bundleUrl: spiffeBundleUrl } } };
}

/**
 * Only the certificates of the text: it goes to every proxy, whatever else somebody put into it. One in a form that Envoy does not
 * read would have it refuse the roots of all trust domains, the mesh's own too.
 */
function readRoots(text: string): { readonly pem: string } | { readonly problem: string } {
  let roots: X509Certificate[];
  try {
    roots = pemBlocks("CERTIFICATE", text).map((one) => new X509Certificate(one));
    for (const { raw } of roots) assertStrictForm(raw);
  } catch (error) {
    return { problem: `has a certificate that cannot be read: ${messageOf(error)}` };
  }
  if (roots.length === 0) return { problem: "has no certificate in its pem" };
  if (roots.some(({ ca }) => !ca)) return { problem: "has a certificate that is not one of an authority" };
  return { pem: roots.map((root) => root.toString()).join("") };
}
