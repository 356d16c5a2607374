import { append } from "../platform/append.ts";
import { isJson } from "../platform/json-of.ts";

/** One document's text, and where it begins. */
export interface DocumentText {
  readonly text: string;
  /** Line of the file where `text` begins, counted from 1. */
  readonly line: number;
}

/**
 * Splits a file's text into documents, without decoding them, so that a broken document cannot take its neighbours
 * with it. YAML documents end at lines that begin with `---` or `...`, which YAML allows nowhere inside of one
 * (https://yaml.org/spec/1.2.2/#912-document-markers). JSON values that follow each other, in one line or many, are
 * a document each. Documents without content are left out.
 */
export function splitDocuments(file: string): DocumentText[] {
  const text = file.startsWith("\ufeff") ? file.slice(1) : file;
  const documents: DocumentText[] = [];
  for (const part of splitAtMarkers(text)) {
    const start = startOfContent(part.text);
    if (start === -1) continue;
    const content = fromLineOf(part, start);
    if (isOpening(part.text.charCodeAt(start))) append(documents, splitJson(content));
    else documents.push(content);
  }
  return documents;
}

const MARKER = /^(?:---|\.\.\.)(?=[ \t\r\n]|$)/gm;

function splitAtMarkers(text: string): DocumentText[] {
  const parts: DocumentText[] = [];
  let start = 0;
  let line = 1;
  const push = (end: number) => {
    const part = text.slice(start, end);
    parts.push({ text: part, line });
    line += countLines(part);
  };
  for (const { index } of text.matchAll(MARKER)) {
    push(index);
    start = index + 3;
  }
  push(text.length);
  return parts;
}

/** The part without the lines in front of `start`, which hold nothing; the indentation counts. */
function fromLineOf({ text, line }: DocumentText, start: number): DocumentText {
  const lineStart = start === 0 ? 0 : text.lastIndexOf("\n", start - 1) + 1;
  return { text: text.slice(lineStart), line: line + countLines(text.slice(0, lineStart)) };
}

/** Index of the first character that is neither blank, nor in a comment, nor in a directive such as `%YAML`; or -1. */
function startOfContent(text: string): number {
  let at = 0;
  while (at < text.length) {
    const code = text.charCodeAt(at);
    const lineStart = at === 0 || text.charCodeAt(at - 1) === NEWLINE;
    if (isBlank(code)) at++;
    else if (code === HASH || (code === PERCENT && lineStart)) at = endOfLine(text, at);
    else return at;
  }
  return -1;
}

/**
 * The JSON values in a part of a file, one document each. Where a value is broken, it ends at the end of its line,
 * or before the next line that can only be a new value. A part that holds no JSON value at all may be YAML's flow
 * style, and stays whole.
 */
function splitJson(part: DocumentText): DocumentText[] {
  const { text } = part;
  const values: { start: number; end: number }[] = [];
  let at = text.search(/\S/);
  while (at < text.length) {
    const end = isOpening(text.charCodeAt(at)) ? endOfValue(text, at) : endOfLine(text, at);
    values.push({ start: at, end });
    at = end;
    while (at < text.length && isBlank(text.charCodeAt(at))) at++;
  }
  if (values.length === 1 || !values.some((value) => isJson(text.slice(value.start, value.end)))) return [part];
  let line = part.line;
  let counted = 0;
  return values.map((value) => {
    line += countLines(text.slice(counted, value.start));
    counted = value.start;
    return { text: text.slice(value.start, value.end), line };
  });
}

/** Where the JSON value that opens at `start` ends, or where reading should go on if it is broken. */
function endOfValue(text: string, start: number): number {
  let depth = 0;
  /** The last character that was not blank, outside of strings. */
  let previous = COMMA;
  for (let at = start; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (isBlank(code)) continue;
    if (code === QUOTE) {
      const end = endOfString(text, at);
      if (end === -1) return endOfBroken(text, start, endOfLine(text, at));
      at = end;
    } else if (isOpening(code)) {
      const isExpected = previous === COMMA || previous === COLON || previous === OPEN_BRACKET;
      if (!isExpected && text.charCodeAt(at - 1) === NEWLINE) return endOfBroken(text, start, at);
      depth++;
    } else if (code === CLOSE_BRACE || code === CLOSE_BRACKET) {
      depth--;
      if (depth === 0) return at + 1;
    }
    previous = code;
  }
  return endOfBroken(text, start, text.length);
}

/** A value that never closed: where the line behind its first one is a value by itself, it was not part of it. */
function endOfBroken(text: string, start: number, end: number): number {
  const first = endOfLine(text, start);
  const second = endOfLine(text, first + 1);
  return first < end && isOpening(text.charCodeAt(first + 1)) && isJson(text.slice(first + 1, second)) ? first : end;
}

/** Index of the quote that closes the string opened at `start`, or -1 where its line ends first. */
function endOfString(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) return at;
    if (code === NEWLINE) return -1;
    if (code === BACKSLASH) at++;
  }
  return -1;
}

const NEWLINE = 10;
const QUOTE = 34;
const HASH = 35;
const PERCENT = 37;
const COMMA = 44;
const COLON = 58;
const OPEN_BRACKET = 91;
const BACKSLASH = 92;
const CLOSE_BRACKET = 93;
const OPEN_BRACE = 123;
const CLOSE_BRACE = 125;

function isOpening(code: number): boolean {
  return code === OPEN_BRACE || code === OPEN_BRACKET;
}

function isBlank(code: number): boolean {
  return code === 32 || code === 9 || code === NEWLINE || code === 13;
}

function endOfLine(text: string, at: number): number {
  const end = text.indexOf("\n", at);
  return end === -1 ? text.length : end;
}

function countLines(text: string): number {
  let lines = 0;
  for (let at = text.indexOf("\n"); at !== -1; at = text.indexOf("\n", at + 1)) lines++;
  return lines;
}
