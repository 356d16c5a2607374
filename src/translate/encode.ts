import { create, type DescMessage, type MessageInitShape, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { type EncodedResource, encodedResource } from "../xds/resource-set.ts";

/** Encodes a resource under its own name. */
export function encodeResource<D extends DescMessage>(
  schema: D,
  init: MessageInitShape<D> & { readonly name: string },
): EncodedResource {
  const message: MessageShape<D> = create(schema, init);
  return encodedResource(init.name, toBinary(schema, message));
}
