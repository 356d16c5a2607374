/** What Envoy is told to take of one regular expression, in RE2's instructions: its bootstrap says so. */
export const MAX_REGEX_SIZE = 32_768;

/**
 * At least as many instructions as Envoy's RE2 compiles the expression to, told by its text alone: to compile it would
 * take as long as it is large, and a repetition of 25 characters can be larger than all that Envoy takes. Envoy counts by
 * bytes, so that a class is as wide as it has ranges of them.
 *
 * Says nothing about whether the expression is right: of what is none, it gives some number.
 */
export function regexSize(pattern: string): number {
  const walk = new Walk(pattern);
  return walk.size();
}

/** Of `\pL` and the like: the most ranges of bytes that one of them has. */
const PROPERTY_WIDTH = 24;
/** Where cases are ignored, such a class takes a millisecond to look up, whatever it compiles to. */
const FOLDED_PROPERTY_WIDTH = 480;
/** Of `\w`, `\S`, `.` and the like. */
const PERL_WIDTH = 6;
/** An instruction that chooses, loops or captures. */
const CONTROL = 3;

class Walk {
  readonly #pattern: string;
  /** Where a letter stands for both cases, a character is up to three. */
  readonly #fold: number;
  readonly #propertyWidth: number;
  #at = 0;

  constructor(pattern: string) {
    this.#pattern = pattern;
    this.#fold = /\(\?[a-zA-Z]*i/.test(pattern) ? 3 : 1;
    this.#propertyWidth = this.#fold === 1 ? PROPERTY_WIDTH : FOLDED_PROPERTY_WIDTH;
  }

  size(): number {
    /** Of the groups that are open, the outermost first: what they hold up to the last piece. */
    const open: number[] = [];
    let sum = 2 * CONTROL;
    /** What a repetition behind it would repeat. */
    let last = 0;
    while (this.#at < this.#pattern.length) {
      const character = this.#pattern[this.#at];
      const repeated = this.#repetition();
      if (repeated !== null) {
        last = (last + CONTROL) * repeated;
      } else if (character === "(") {
        open.push(sum + last);
        [sum, last] = [0, 0];
        this.#at++;
      } else if (character === ")") {
        last = sum + last + CONTROL;
        sum = open.pop() ?? 0;
        this.#at++;
      } else {
        sum += last;
        last = this.#piece();
      }
    }
    return open.reduce((total, outer) => total + outer, sum + last);
  }

  /** How often the piece before is written out; null where no repetition stands here. */
  #repetition(): number | null {
    if ("*+?".includes(this.#pattern[this.#at] ?? " ")) {
      this.#at++;
      return 1;
    }
    REPETITION.lastIndex = this.#at;
    const [whole, least = "", most] = REPETITION.exec(this.#pattern) ?? [];
    if (whole === undefined) return null;
    this.#at += whole.length;
    // `{3,}` is three and a loop.
    return Math.max(1, Number(most || least) + (most === "" ? 1 : 0));
  }

  #piece(): number {
    const rest = this.#pattern[this.#at] ?? "";
    if (rest === "[") return this.#class();
    if (rest === "\\") return this.#escape();
    if (rest === ".") {
      this.#at++;
      return PERL_WIDTH;
    }
    return this.#literal();
  }

  #literal(): number {
    const character = String.fromCodePoint(this.#pattern.codePointAt(this.#at) ?? 0);
    this.#at += character.length;
    return Buffer.byteLength(character) * this.#fold;
  }

  #escape(): number {
    ESCAPE.lastIndex = this.#at;
    const [whole = "\\"] = ESCAPE.exec(this.#pattern) ?? [];
    this.#at += whole.length;
    if (/^\\[pP]/.test(whole)) return this.#propertyWidth;
    // What is quoted is pieces of their own, of which only the last would be repeated: all of them is more.
    if (whole.startsWith("\\Q")) return Buffer.byteLength(whole) * this.#fold;
    return PERL_WIDTH * this.#fold;
  }

  /** A range in it takes three characters and one instruction, but its complement may have one more than it. */
  #class(): number {
    CLASS.lastIndex = this.#at;
    const [whole = this.#pattern.slice(this.#at)] = CLASS.exec(this.#pattern) ?? [];
    this.#at += whole.length;
    const named = whole.match(/\\[pP]|\[:/g)?.length ?? 0;
    const perl = whole.match(/\\[dDsSwW]/g)?.length ?? 0;
    const width = (Buffer.byteLength(whole) + perl * PERL_WIDTH) * this.#fold;
    // There are no more ranges of bytes than every other byte.
    return Math.min(128, width) + named * this.#propertyWidth;
  }
}

/** RE2's syntax, https://github.com/google/re2/wiki/Syntax: what else stands in braces is text. */
const REPETITION = /\{([0-9]{1,4})(?:,([0-9]{0,4}))?\}/y;
/** Whose braces are no repetition, and quotations as a whole. */
const ESCAPE = /\\(?:Q.*?(?:\\E|$)|[pP](?:\{[^}]*\}|.)|x\{[0-9a-fA-F]*\}|.)/suy;
/** From its bracket to the one that closes it, which is neither its first character nor a part of `[:alpha:]`. */
const CLASS = /\[\^?\]?(?:\[:\^?[a-z]+:\]|\\.|[^\]\\])*\]/sy;
