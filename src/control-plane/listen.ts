import type { FastifyInstance } from "fastify";
import { messageOf, TrysailError } from "../platform/errors.ts";
import { formatListenAddress, type ListenAddress } from "../platform/listen-address.ts";

/** Starts a server and answers its port; where that fails, the error names the address and the flag that chose it. */
export async function listen(app: FastifyInstance, flag: string, address: ListenAddress): Promise<number> {
  try {
    await app.listen({ host: address.host ?? "::", port: address.port });
  } catch (cause) {
    const inUse = cause instanceof Error && "code" in cause && cause.code === "EADDRINUSE";
    const reason = inUse ? "the port is in use" : messageOf(cause);
    const where = formatListenAddress(address);
    throw new TrysailError("unavailable", `cannot listen on ${where}: ${reason} (${flag} chooses another)`, { cause });
  }
  const bound = app.server.address();
  return typeof bound === "object" && bound !== null ? bound.port : address.port;
}
