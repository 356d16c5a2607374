import type { TestEvent } from "node:test/reporters";

/** Lists the skipped tests with their reasons behind everything else, so that no gap hides in a long log. */
export default async function* skipReporter(events: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const skipped: string[] = [];
  for await (const event of events) {
    if (event.type !== "test:pass" || event.data.skip === undefined || event.data.skip === false) continue;
    const reason = typeof event.data.skip === "string" ? event.data.skip : "no reason given";
    skipped.push(`  ${event.data.name}: ${reason}`);
  }
  if (skipped.length > 0) yield `\nskipped here (${skipped.length}):\n${skipped.join("\n")}\n`;
}
