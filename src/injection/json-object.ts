import { jsonOf } from "../platform/json-of.ts";

/** The object or list that `text` is as JSON; undefined where it is none. */
export function parseJsonObject(text: string): object | undefined {
  const value = jsonOf(text);
  return typeof value === "object" && value !== null ? value : undefined;
}
