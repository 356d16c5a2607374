import type { AuthorityStatus } from "../../src/ca/authority/authority-status.ts";
import type { TestControlPlane } from "./control-plane.ts";

/** What an administrator sees of the authority, and says to it as `trysail ca` does; rejects with what refuses it. */
export async function askAuthority(
  { issuer, ports }: TestControlPlane,
  command?: "prepare" | "activate" | "retire",
  options: { readonly force?: boolean } = {},
): Promise<AuthorityStatus> {
  const token = await issuer.issue({
    ...{ namespace: "trysail-system", serviceAccount: "trysail", audience: "istio-ca", ttlMs: 600_000 },
  });
  const response = await fetch(`http://127.0.0.1:${ports.http}/ca${command === undefined ? "" : `/${command}`}`, {
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    ...(command !== undefined && { method: "POST", body: JSON.stringify(options) }),
  });
  if (response.status !== 200) throw new Error(await response.text());
  return (await response.json()) as AuthorityStatus;
}

/** The id of what is in a slot. */
export function slotOf({ slots }: AuthorityStatus, wanted: "active" | "prepared"): string | undefined {
  return slots.find(({ slot }) => slot === wanted)?.id;
}
