import { TrysailError } from "../platform/errors.ts";

/**
 * Reads a file in which Kubernetes' downward API keeps labels or annotations: one `key="value"` a line, the value
 * quoted as Go quotes strings. `file` names it in the error, which is an `invalid-argument`.
 */
export function parseDownwardMap(text: string, file: string): Record<string, string> {
  const entries = text
    .split("\n")
    .filter((line) => line !== "")
    .map((line, index) => {
      const [, key, quoted] = /^([^=]+)="((?:[^"\\]|\\.)*)"$/.exec(line) ?? [];
      if (key === undefined || quoted === undefined) {
        throw new TrysailError("invalid-argument", `${file}: line ${index + 1} is not of the form key="value"`);
      }
      return [key, unquote(quoted)] as const;
    });
  return Object.fromEntries(entries);
}

const letters: Readonly<Record<string, string>> = {
  a: "\x07",
  b: "\b",
  f: "\f",
  n: "\n",
  r: "\r",
  t: "\t",
  v: "\v",
};

/** https://go.dev/ref/spec#String_literals */
function unquote(quoted: string): string {
  return quoted.replace(
    /\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U([0-9a-f]{8})|(.))/g,
    (_, x?: string, u?: string, long?: string, letter = "") => {
      const code = x ?? u ?? long;
      return code === undefined ? (letters[letter] ?? letter) : String.fromCodePoint(Number.parseInt(code, 16));
    },
  );
}
