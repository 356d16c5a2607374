import { isIP } from "node:net";

/** The version of an IP address; null for any other text, and for addresses that name an interface (`fe80::1%eth0`). */
export function ipVersion(text: string): 4 | 6 | null {
  const version = isIP(text);
  return text.includes("%") || (version !== 4 && version !== 6) ? null : version;
}
