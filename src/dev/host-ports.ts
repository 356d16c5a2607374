import { connect, type Server, type Socket } from "node:net";

/** An address inside, or undefined while there is none. */
export type PortTarget = () => { readonly host: string; readonly port: number } | undefined;

/** Carries connections from ports of this machine to addresses inside. */
export interface HostPorts {
  /** Asks for a port of the host; again with another target replaces the first. */
  open(hostPort: number, target: PortTarget): void;
  /** The outer process's answer: the socket that listens on the host. */
  adopt(hostPort: number, server: Server): void;
  close(): void;
}

export function createHostPorts(ask: (hostPort: number) => void): HostPorts {
  const targets = new Map<number, PortTarget>();
  const servers: Server[] = [];
  const sockets = new Set<Socket>();

  function carry(outside: Socket, hostPort: number): void {
    const target = targets.get(hostPort)?.();
    if (target === undefined) return void outside.destroy();
    const inside = connect(target);
    for (const [socket, other] of [
      [outside, inside],
      [inside, outside],
    ] as const) {
      sockets.add(socket);
      socket.on("error", () => other.destroy());
      socket.on("close", () => {
        sockets.delete(socket);
        other.destroySoon();
      });
      socket.pipe(other);
    }
  }

  return {
    open(hostPort, target) {
      const known = targets.has(hostPort);
      targets.set(hostPort, target);
      if (!known) ask(hostPort);
    },
    adopt(hostPort, server) {
      servers.push(server);
      server.on("connection", (socket: Socket) => carry(socket, hostPort));
    },
    close() {
      for (const server of servers) server.close();
      for (const socket of sockets) socket.destroy();
    },
  };
}
