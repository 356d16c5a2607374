import type { Command } from "commander";

/** Each command is loaded when it is asked for: `trysail init` runs in front of every pod and must not wait for the rest. */
export const COMMANDS: Readonly<Record<string, { description: string; load: () => Promise<Command> }>> = {
  serve: {
    description: "run the control plane: webhook, certificate authority and xDS",
    load: async () => (await import("./serve.ts")).serveCommand(),
  },
  dev: {
    description: "run a folder of manifests as a mesh on this machine",
    load: async () => (await import("./dev.ts")).devCommand(),
  },
  inject: {
    description: "print manifests with sidecars",
    load: async () => (await import("./inject.ts")).injectCommand(),
  },
  translate: {
    description: "print the Envoy configuration of one proxy",
    load: async () => (await import("./translate.ts")).translateCommand(),
  },
  analyze: {
    description: "find what is wrong with a folder of manifests",
    load: async () => (await import("./analyze.ts")).analyzeCommand(),
  },
  status: {
    description: "show what became of each object of the mesh",
    load: async () => (await import("./status.ts")).statusCommand(),
  },
  token: {
    description: "print a workload token (one machine)",
    load: async () => (await import("./token.ts")).tokenCommand(),
  },
  ca: {
    description: "show the mesh's certificate authority, and rotate it",
    load: async () => (await import("./ca.ts")).caCommand(),
  },
  cost: {
    description: "show how much configuration each object brings to the proxies",
    load: async () => (await import("./cost.ts")).costCommand(),
  },
  check: {
    description: "look for what is wrong with a cluster, before the mesh is installed or behind that",
    load: async () => (await import("./check.ts")).checkCommand(),
  },
  tag: {
    description: "names that lead to a revision of the control plane",
    load: async () => (await import("./tag.ts")).tagCommand(),
  },
  uninstall: {
    description: "remove the control plane from a cluster, with --purge every trace of it",
    load: async () => (await import("./uninstall.ts")).uninstallCommand(),
  },
  ratelimit: {
    description: "count what RateLimits limit for all proxies together",
    load: async () => (await import("./ratelimit.ts")).ratelimitCommand(),
  },
  init: {
    description: "prepare a pod for its sidecar (runs as the injected init container)",
    load: async () => (await import("./init.ts")).initCommand(),
  },
};
