import { InvalidArgumentError, Option } from "commander";

/** An option that takes a whole number from 1 on. */
export function countOption(flags: string, description: string, byDefault?: number): Option {
  return new Option(flags, description).argParser(parseCountFlag).default(byDefault);
}

function parseCountFlag(text: string): number {
  if (!/^[1-9][0-9]{0,8}$/.test(text)) throw new InvalidArgumentError("a whole number from 1 on.");
  return Number(text);
}
