import { Schema, type Tags } from "yaml";

const MERGE = "tag:yaml.org,2002:merge";

/**
 * YAML's own tags and `<<`, which Kubernetes' tools know too. The library's takes the text `<<` for that key as well and
 * prints it without quotes, whereupon it would be read as what it is not.
 */
export function manifestTags(tags: Tags): Tags {
  const merge = new Schema({ merge: true }).tags.flatMap((tag) =>
    tag.tag === MERGE ? [{ ...tag, identify: (value: unknown) => typeof value === "symbol" }] : [],
  );
  return [...tags, ...merge];
}
