#!/usr/bin/env -S MALLOC_ARENA_MAX=2 node --max-semi-space-size=8
// Without a word the engine lets young garbage take 67 MB of memory for as long as it runs, and the C library keeps pieces of
// freed memory for each thread that has asked for some; docs/performance.md has figures.
import { Command, CommanderError } from "commander";
import { messageOf, TrysailError } from "../platform/errors.ts";
import { printable } from "../platform/printable.ts";

/** Each command is loaded when it is asked for: `trysail init` runs in front of every pod and must not wait for the rest. */
const COMMANDS: Readonly<Record<string, { description: string; load: () => Promise<Command> }>> = {
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

async function main(args: string[]): Promise<void> {
  const program = new Command("trysail")
    .description("A service mesh control plane: Istio's APIs on stock Envoy, without an agent in the pod.")
    .configureHelp({ showGlobalOptions: true })
    .exitOverride();
  const [name = ""] = args;
  const chosen = COMMANDS[name];
  if (chosen !== undefined) program.addCommand(throwing(await chosen.load()));
  else
    for (const [command, { description }] of Object.entries(COMMANDS))
      program.command(command).description(description);
  await program.parseAsync(args, { from: "user" });
}

/** Without this, a command of a command ends the process by itself, and not as the others do. */
function throwing(command: Command): Command {
  for (const inner of command.commands) throwing(inner);
  return command.exitOverride();
}

// Whoever reads no further, such as `head`, is no failure of ours.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit();
});

/** Usage errors exit with 2, as commander's own do here; whatever else goes wrong is one line and 1. */
main(process.argv.slice(2)).catch((error: unknown) => {
  if (error instanceof CommanderError) process.exit(error.exitCode === 0 ? 0 : 2);
  const lines = messageOf(error).split("\n").map(printable);
  process.stderr.write(`trysail: ${lines.join("\n")}\n`);
  if (!(error instanceof TrysailError) && error instanceof Error) process.stderr.write(`${error.stack}\n`);
  process.exit(1);
});
