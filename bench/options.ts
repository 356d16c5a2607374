import { Command, Option } from "commander";
import { countOption } from "../src/cli/count-flag.ts";

/** What `make bench BENCH="…"` can be told. */
export interface BenchOptions {
  readonly services: number;
  /** Of each service. */
  readonly endpoints: number;
  /** A further case with so many proxies. */
  readonly proxies?: number;
  /** Over how many reviews memory is watched. */
  readonly reviews: number;
  /** Nothing but the webhook, or certificates by request. */
  readonly only?: "inject" | "csr";
  readonly scale?: true;
  readonly client?: "go" | "node";
  /** The file to draw to. */
  readonly chart?: string;
  readonly json?: true;
}

/** Ends the process where it is asked for help, or for what there is not. */
export function parseBenchOptions(argv: readonly string[]): BenchOptions {
  return new Command("bench")
    .description("measures the control plane as a process of its own and prints what it reached")
    .addOption(countOption("--services <count>", "services of the mesh", 1000))
    .addOption(countOption("--endpoints <count>", "endpoints of each service", 5))
    .addOption(countOption("--proxies <count>", "a further case with so many proxies"))
    .addOption(countOption("--reviews <count>", "over how many reviews memory is watched", 100_000))
    .addOption(
      new Option("--only <part>", "inject: the webhook alone; csr: certificates by request").choices(["inject", "csr"]),
    )
    .option("--scale", "memory at rest, growth and the storm of endpoints alone")
    .addOption(
      new Option("--client <name>", "who plays the proxies; by default Go's where there is Go").choices(["go", "node"]),
    )
    .option("--chart <file>", "draws the growth, as SVG")
    .option("--json", "prints the figures as JSON")
    .parse(argv, { from: "user" })
    .opts<BenchOptions>();
}
