import { Command } from "commander";
import { stringify } from "yaml";
import { applyTag, listTags, planTag, type RevisionTag, removeTag } from "../operations/tags.ts";
import { type ClusterFlags, kubeconfigOption, withCluster } from "./cluster.ts";
import { outputOption } from "./output-flag.ts";
import { formatTable } from "./table.ts";

interface SetFlags extends ClusterFlags {
  readonly revision: string;
  readonly overwrite?: boolean;
}

/** `trysail tag`: further names of revisions, which namespaces are labelled with. */
export function tagCommand(): Command {
  const command = new Command("tag").description("names that lead to a revision: namespaces labelled istio.io/rev=TAG");
  command.addCommand(
    subcommand("set", "make a tag, or with --overwrite let it lead to another revision")
      .argument("<tag>", "its name; `default` leads istio-injection=enabled too")
      .requiredOption("--revision <name>", "the installed revision it leads to")
      .option("--overwrite", "although it leads to another revision now")
      .action(setTag),
  );
  command.addCommand(
    subcommand("generate", "print the objects that `set` would apply")
      .argument("<tag>", "its name")
      .requiredOption("--revision <name>", "the installed revision it leads to")
      .option("--overwrite", "although it leads to another revision now")
      .action(generateTag),
  );
  command.addCommand(
    subcommand("list", "tags, their revisions, and the namespaces that use them")
      .addOption(outputOption())
      .action(showTags),
  );
  command.addCommand(
    subcommand("remove", "remove a tag that no namespace uses")
      .argument("<tag>", "its name")
      .option("--force", "although namespaces use it")
      .action((tag: string, { force = false, ...flags }: ClusterFlags & { force?: boolean }) =>
        withCluster(flags, async (client) => {
          await removeTag(client, { tag, force });
          process.stdout.write(`tag ${tag} is removed\n`);
        }),
      ),
  );
  return command;
}

function subcommand(name: string, description: string): Command {
  return new Command(name).description(description).addOption(kubeconfigOption());
}

async function setTag(tag: string, { revision, overwrite = false, ...flags }: SetFlags): Promise<void> {
  await withCluster(flags, async (client) => {
    await applyTag(client, await planTag(client, { tag, revision, overwrite }));
  });
  const label = tag === "default" ? "istio-injection=enabled" : `istio.io/rev=${tag}`;
  process.stdout.write(`tag ${tag} leads to revision ${revision}: new pods of namespaces labelled ${label} join it\n`);
}

async function generateTag(tag: string, { revision, overwrite = false, ...flags }: SetFlags): Promise<void> {
  const objects = await withCluster(flags, (client) => planTag(client, { tag, revision, overwrite }));
  process.stdout.write(objects.map((object) => stringify(object, { aliasDuplicateObjects: false })).join("---\n"));
}

async function showTags({ output, ...flags }: ClusterFlags & { output: "table" | "json" }): Promise<void> {
  const tags = await withCluster(flags, listTags);
  process.stdout.write(`${output === "json" ? JSON.stringify(tags, null, 2) : tagTable(tags)}\n`);
}

function tagTable(tags: readonly RevisionTag[]): string {
  const rows = tags.map(({ tag, revision, namespaces }) => [tag, revision, namespaces.join(",")]);
  return formatTable([["TAG", "REVISION", "NAMESPACES"], ...rows]);
}
