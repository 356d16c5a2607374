import type { TokenIssuer } from "../ca/jwt/token-issuer.ts";
import type { Clock } from "../platform/clock.ts";
import { replaceFile } from "./replace-file.ts";
import { SYSTEM_NAMESPACE } from "./system-objects.ts";

const TTL_MS = 86_400_000;

/** Keeps a valid token in `file` that may read every debug page, for the user's own tools; returns the stop. */
export function keepAdminToken(
  clock: Clock,
  issuer: TokenIssuer,
  file: string,
  onError: (thrown: unknown) => void,
): () => void {
  let cancel = (): void => {};
  const write = async () => {
    const token = await issuer.issue({
      namespace: SYSTEM_NAMESPACE,
      serviceAccount: "admin",
      ttlMs: TTL_MS,
    });
    await replaceFile(file, token);
  };
  const renew = () => {
    void write().catch(onError);
    cancel = clock.after(TTL_MS * 0.8, renew);
  };
  renew();
  return () => cancel();
}
