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
    throw refusal(`cannot listen on ${where}: ${reason}`, flag, cause);
  }
  const bound = app.server.address();
  return typeof bound === "object" && bound !== null ? bound.port : address.port;
}

/** The same for a server that names the address itself where it fails. */
export async function listenGrpc(
  start: (address: string) => Promise<number>,
  flag: string,
  address: ListenAddress,
): Promise<number> {
  try {
    return await start(formatListenAddress(address));
  } catch (cause) {
    throw refusal(messageOf(cause), flag, cause);
  }
}

function refusal(what: string, flag: string, cause: unknown): TrysailError {
  return new TrysailError("unavailable", `${what} (${flag} chooses another)`, { cause });
}
