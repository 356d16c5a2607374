/** Everything `trysail dev` is told, checked and complete. Plain data: it crosses from the outer to the inner process. */
export interface DevOptions {
  /** The user's folder, absolute. */
  readonly folder: string;
  readonly stateDir: string;
  /** Bring all up, run `command`, tear down. */
  readonly once: boolean;
  readonly command: readonly string[];
  readonly readyTimeoutMs: number;
  readonly expose: readonly Exposure[];
  /** Whether ports of this machine lead to the control plane and to annotated Services. */
  readonly hostPorts: boolean;
  /** Passed on to `trysail serve`. */
  readonly serveFlags: readonly string[];
  readonly plaintextPort?: number;
  /** Pods whose log is shown, by a part of their name. */
  readonly showLog?: string;
  /** The Envoy binary. */
  readonly envoy: string;
  /** How this program is run: node, its flags, the script. */
  readonly program: readonly string[];
  /** Everything runs in a user namespace. */
  readonly ordinaryUser: boolean;
}

/** A Service's port, reachable at a port of this machine's loopback address. */
export interface Exposure {
  readonly service: string;
  readonly namespace: string;
  readonly port: number;
  readonly hostPort: number;
}

/** From the outer process to the inner one. A `listener` message carries the listening socket itself. */
export type ToInner =
  | { readonly kind: "start"; readonly options: DevOptions }
  | { readonly kind: "listener"; readonly hostPort: number }
  | { readonly kind: "refused"; readonly hostPort: number; readonly reason: string }
  | { readonly kind: "stop" };

/** From the inner process to the outer one. */
export type ToOuter = { readonly kind: "ready" } | { readonly kind: "listen"; readonly hostPort: number };
