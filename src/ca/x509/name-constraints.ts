import { isIP } from "node:net";
import ipaddr from "ipaddr.js";
import { type DerElement, readDer, readOne } from "../../platform/der.ts";

/** The names that certificates below an authority are to have. */
export interface IssuedNames {
  /** Of workloads; undefined where it signs for none. */
  readonly trustDomain: string | undefined;
  /** DNS names and IP addresses. */
  readonly hosts: readonly string[];
}

/** `[0]` to `[8]`, as a GeneralName is tagged (RFC 5280, 4.2.1.6). */
const NAME_TAG = { email: 0x81, dns: 0x82, uri: 0x86, ip: 0x87 } as const;
const TREES_TAG = { permitted: 0xa0, excluded: 0xa1 } as const;

interface NameTrees {
  readonly permitted: readonly DerElement[];
  readonly excluded: readonly DerElement[];
}

/**
 * The first of the names that an authority with these name constraints may not vouch for, as text, or undefined where it
 * may for all (RFC 5280, 4.2.1.10). Takes the DER inside the extension; throws a RangeError for what is no such, or names
 * what not every verifier can judge. OpenSSL and Go differ in whether `example.org` means its subdomains as well where a
 * URI is concerned: what either of them refuses counts as refused.
 */
export function firstNameOutside(constraints: Uint8Array, { trustDomain, hosts }: IssuedNames): string | undefined {
  const trees = parseNameConstraints(constraints);
  if (trustDomain !== undefined) {
    const matches = (base: Buffer, isPermitted: boolean) => isHostOfUri(trustDomain, textOf(base), isPermitted);
    if (!allows(trees, NAME_TAG.uri, matches)) return `spiffe://${trustDomain}`;
  }
  return hosts.find((host) =>
    isIP(host) === 0
      ? !allows(trees, NAME_TAG.dns, (base) => isWithin(host, textOf(base)))
      : !allows(trees, NAME_TAG.ip, (base) => isInRange(host, base)),
  );
}

function parseNameConstraints(constraints: Uint8Array): NameTrees {
  const trees = { permitted: [] as DerElement[], excluded: [] as DerElement[] };
  for (const { tag, content } of readOne(constraints, 0x30)) {
    const list =
      tag === TREES_TAG.permitted ? trees.permitted : tag === TREES_TAG.excluded ? trees.excluded : undefined;
    if (list === undefined) throw new RangeError("not name constraints");
    for (const tree of readDer(content)) {
      const [base, ...bounds] = readDer(tree.content);
      // The bounds of a tree are never used (RFC 5280), and OpenSSL refuses a chain with any.
      if (base === undefined || bounds.length > 0) throw new RangeError("name constraints with a minimum or maximum");
      if (!Object.values<number>(NAME_TAG).includes(base.tag)) {
        throw new RangeError("name constraints of another kind than DNS, URI, IP and e-mail, which Go refuses");
      }
      list.push(base);
    }
  }
  return trees;
}

/** A kind of name of which nothing is permitted by name is permitted, where it is not excluded. */
function allows(
  { permitted, excluded }: NameTrees,
  kind: number,
  matches: (base: Buffer, isPermitted: boolean) => boolean,
): boolean {
  const allowed = permitted.filter(({ tag }) => tag === kind);
  if (allowed.length > 0 && !allowed.some(({ content }) => matches(content, true))) return false;
  return !excluded.some(({ tag, content }) => tag === kind && matches(content, false));
}

/** A base that begins with a dot means the subdomains alone; of any other Go alone says that it means these too. */
function isHostOfUri(host: string, base: string, isPermitted: boolean): boolean {
  return isPermitted && !base.startsWith(".") ? host.toLowerCase() === base : isWithin(host, base);
}

function isWithin(host: string, base: string): boolean {
  const name = host.toLowerCase();
  if (base === "" || name === base) return true;
  return name.endsWith(base.startsWith(".") ? base : `.${base}`);
}

/** The base is an address and a mask, of the same length each. */
function isInRange(host: string, base: Buffer): boolean {
  const address = ipaddr.parse(host).toByteArray();
  if (base.length !== 2 * address.length) return false;
  return address.every((byte, at) => {
    const mask = base[address.length + at] ?? 0;
    return (byte & mask) === ((base[at] ?? 0) & mask);
  });
}

function textOf(content: Buffer): string {
  return content.toString("latin1").toLowerCase();
}
