#!/usr/bin/env -S MALLOC_ARENA_MAX=2 node --max-semi-space-size=4
// Without a word the engine lets young garbage take 67 MB of memory for as long as it runs, and the C library keeps pieces of
// freed memory for each thread that has asked for some; docs/performance.md has figures.
import { Command, CommanderError } from "commander";
import { messageOf, TrysailError } from "../platform/errors.ts";
import { printable } from "../platform/printable.ts";
import { COMMANDS } from "./commands.ts";

async function main(words: string[]): Promise<void> {
  const program = new Command("trysail")
    .description("A service mesh control plane: Istio's APIs on stock Envoy, without an agent in the pod.")
    .configureHelp({ showGlobalOptions: true })
    .exitOverride();
  // `help NAME` needs what the command says of itself, which only its own file knows.
  const args = words[0] === "help" ? [...words.slice(1), "--help"] : words;
  const [name = ""] = args;
  const chosen = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (chosen !== undefined) program.addCommand(throwing(await chosen.load()));
  else
    for (const [command, { description }] of Object.entries(COMMANDS))
      program.command(command).description(description);
  await program.parseAsync(upToUnknown(program, args), { from: "user" });
}

/** Where help is asked for, commander shows it whatever command was named: without what follows, it tells of one that is none. */
function upToUnknown(program: Command, args: string[]): string[] {
  let { commands } = program;
  for (const [at, word] of args.entries()) {
    if (commands.length === 0 || word.startsWith("-") || word === "help") break;
    const found = commands.find((command) => command.name() === word);
    if (found === undefined) return args.slice(0, at + 1);
    commands = found.commands;
  }
  return args;
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
