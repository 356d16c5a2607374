import { isScalar, parseDocument, visit } from "yaml";
import { messageOf, TrysailError } from "../platform/errors.ts";

/** A ProxyConfig with all of its fields takes a quarter of this; the parser takes 0.1 s for the worst text of it. */
const MAX_CHARACTERS = 16 * 1024;

/**
 * The value of an annotation that is YAML. Anybody who may create a pod writes these, and the webhook's thread has other
 * things to do: so there are no aliases, and what the parser would take long for is not given to it.
 *
 * @throws TrysailError `invalid-argument` naming `source`.
 */
export function parseAnnotationYaml(text: string, source: string): unknown {
  if (text.length > MAX_CHARACTERS) {
    const message = `${source}: has ${text.length} characters, which are more than ${MAX_CHARACTERS}`;
    throw new TrysailError("invalid-argument", message);
  }
  try {
    // The library compares each key with all before it.
    const document = parseDocument(text, { uniqueKeys: false, prettyErrors: false });
    const [error] = document.errors;
    if (error) throw error;
    assertUniqueKeys(document);
    return document.toJS({ maxAliasCount: 0 });
  } catch (cause) {
    throw new TrysailError("invalid-argument", `${source}: not YAML: ${reasonOf(cause)}`, { cause });
  }
}

function assertUniqueKeys(document: ReturnType<typeof parseDocument>): void {
  visit(document, {
    Map(_, map) {
      const seen = new Set<unknown>();
      for (const { key } of map.items) {
        const name = isScalar(key) ? key.value : key;
        if (seen.has(name)) throw new Error(`Map keys must be unique, but ${JSON.stringify(name)} is there twice`);
        seen.add(name);
      }
    },
  });
}

function reasonOf(cause: unknown): string {
  const reason = messageOf(cause).split("\n")[0] ?? "";
  return reason.includes("call stack") ? "nested too deeply" : reason.slice(0, 200);
}
