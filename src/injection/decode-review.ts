import { isRecord } from "../mesh/conform.ts";

/**
 * The value of an AdmissionReview's text, its object's `metadata.managedFields` left empty: which field was set by whom.
 *
 * Nobody here looks at these, yet they are two fifths of a pod's review and the dearest: the names in them, such as
 * `k:{"uid":"…"}`, are of one object, and for each the engine makes a name and a shape that no other object has.
 *
 * They are cut out of the text where they stand as Kubernetes' API server writes them, last in the metadata and in front of
 * the `spec`. Whether that was the right place shows in the value; where it was not, the text is decoded as it is.
 *
 * @throws SyntaxError where the text is not JSON.
 */
export function decodeReview(text: string): unknown {
  const start = text.indexOf(FIELDS);
  const end = start < 0 ? -1 : text.indexOf(BEHIND, start);
  return (end < 0 ? undefined : decodeWithout(text, start, end)) ?? JSON.parse(text);
}

/** Undefined unless what was cut out is exactly the list in question: any other leaves no JSON, or the mark elsewhere. */
function decodeWithout(text: string, start: number, end: number): unknown {
  const value = tryParse(`${text.slice(0, start)}${MARKED}${text.slice(end + 1)}`);
  const metadata = fieldOf(fieldOf(fieldOf(value, "request"), "object"), "metadata");
  if (!isRecord(metadata) || metadata.managedFields !== MARK) return undefined;
  metadata.managedFields = [];
  return value;
}

function tryParse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function fieldOf(value: unknown, name: string): unknown {
  return isRecord(value) ? value[name] : undefined;
}

/** A field's name wherever it stands in JSON: within a text, quotation marks have backslashes before them. */
const FIELDS = ',"managedFields":[';
const BEHIND = ']},"spec":{';
/** What no object has in this place, where Kubernetes takes only a list. */
const MARK = "cut out";
const MARKED = `,"managedFields":"${MARK}"`;
