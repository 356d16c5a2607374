import { test } from "node:test";
import type { Argument, Command, Option } from "commander";
import { assertGenerated } from "../../test/support/generated-part.ts";
import { COMMANDS } from "./commands.ts";

/** `node src/cli/commands-page.test.ts --update` writes the generated part of the page again. */
const page = new URL("../../docs/commands.md", import.meta.url);

test("docs/commands.md lists every command with all it takes", async () => {
  const sections: string[] = [];
  for (const { load } of Object.values(COMMANDS)) sections.push(...sectionsOf(await load(), "trysail", []));
  assertGenerated(page, "from the commands", `\n${sections.join("\n")}\n`);
});

/** One section for each command that does something by itself; flags of the command around it count for it too. */
function sectionsOf(command: Command, parent: string, around: readonly Option[]): string[] {
  const name = `${parent} ${command.name()}`;
  const options = [...around, ...shownOptions(command)];
  if (command.commands.length > 0) return command.commands.flatMap((inner) => sectionsOf(inner, name, options));
  const takes = command.registeredArguments.map(argumentWord);
  const rows = [
    ...command.registeredArguments.map((argument) => row(argumentWord(argument), argument.description, "")),
    ...options.map((option) => row(option.flags, option.description, defaultOf(option))),
  ];
  const table =
    rows.length === 0
      ? "It takes no flags.\n"
      : `| Flag | Meaning | By default |\n| --- | --- | --- |\n${rows.join("\n")}\n`;
  return [`## ${[name, ...takes].join(" ")}\n\n${sentence(command.description())}\n\n${table}`];
}

/** As its help shows them, less the help's own. */
function shownOptions(command: Command): Option[] {
  return command
    .createHelp()
    .visibleOptions(command)
    .filter(({ long }) => long !== "--help");
}

function argumentWord(argument: Argument): string {
  const name = argument.variadic ? `${argument.name()}...` : argument.name();
  return argument.required ? `<${name}>` : `[${name}]`;
}

function defaultOf({ defaultValue, defaultValueDescription, negate, mandatory }: Option): string {
  if (mandatory) return "must be given";
  const text = negate || defaultValue === false ? "" : (defaultValueDescription ?? String(defaultValue ?? ""));
  return text === "" ? "" : `\`${text}\``;
}

function row(flag: string, meaning: string, byDefault: string): string {
  return `| \`${flag}\` | ${meaning.replaceAll("|", "\\|").replaceAll("<", "&lt;")} | ${byDefault} |`;
}

const sentence = (text: string) => `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
