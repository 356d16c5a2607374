import type { AddressFamily } from "./address-family.ts";

/**
 * How a query's question ends, in hexadecimal: the root of its name, its type A or AAAA, and the class IN
 * (https://www.rfc-editor.org/rfc/rfc1035#section-4.1.2, https://www.rfc-editor.org/rfc/rfc3596#section-2.1).
 */
const END_OF_QUESTION: Readonly<Record<AddressFamily, string>> = { ipv4: "0000010001", ipv6: "00001c0001" };

/**
 * Matches for iptables of queries that Envoy cannot answer rightly, in a pod with addresses of `families`. Its DNS filter
 * says of every other type that it is not implemented; and, of a name that has addresses but none of the family asked
 * for, that there is no such name, which some resolvers (musl's) take for the last word on the name.
 */
export function otherQuestions(families: readonly AddressFamily[]): string {
  return families.map((family) => `-m string --algo bm ! --hex-string "|${END_OF_QUESTION[family]}|"`).join(" ");
}
