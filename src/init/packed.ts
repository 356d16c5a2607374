import type { DescMessage, MessageJsonType, MessageShape } from "@bufbuild/protobuf";
import type { AnyJson } from "@bufbuild/protobuf/wkt";

/**
 * A message within `google.protobuf.Any`, as JSON has it. Here as in all of `trysail init`, schemas are types alone: loading what they
 * are made of took six times as long as all the rest, and every pod waits for it.
 */
export function packed<Schema extends DescMessage>(
  typeName: MessageShape<Schema>["$typeName"],
  message: MessageJsonType<Schema>,
): AnyJson {
  return Object.assign({ "@type": `type.googleapis.com/${typeName}` }, message);
}
