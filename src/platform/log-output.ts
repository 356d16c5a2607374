import { writeSync } from "node:fs";
import { messageOf } from "./errors.ts";

/** Where lines of a log go. */
export interface LogOutput {
  write(line: string): void;
}

/**
 * Writes lines to a file descriptor. Where that cannot be, as on a full disk or without a reader, lines are lost and the
 * program goes on: the first line that can be written again is told how many there were, and why. (pino's own destination
 * ends the process with the error, and then tries for ever to write what it holds.)
 */
export function createLogOutput(fd: number, write: (fd: number, bytes: Uint8Array) => number = writeSync): LogOutput {
  let lost = 0;
  let reason = "";
  /** The descriptor may take a part of a line, the rest of which must not be mixed with the next one. */
  const writeAll = (text: string): void => {
    let bytes: Uint8Array = Buffer.from(text);
    while (bytes.length > 0) bytes = bytes.subarray(write(fd, bytes));
  };
  return {
    write(line) {
      try {
        if (lost > 0)
          writeAll(`${JSON.stringify({ level: "warn", lost, reason, msg: "lines of this log were lost" })}\n`);
        lost = 0;
        writeAll(line);
      } catch (error) {
        lost++;
        reason = messageOf(error);
      }
    },
  };
}
