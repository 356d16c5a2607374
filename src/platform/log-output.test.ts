import assert from "node:assert/strict";
import { closeSync, openSync } from "node:fs";
import { test } from "node:test";
import { createLog } from "./log.ts";
import { createLogOutput } from "./log-output.ts";

/** Takes at most so many bytes at a time, and none while it is full. */
function disk(atOnce: number) {
  let text = "";
  let isFull = false;
  return {
    write(_fd: number, bytes: Uint8Array): number {
      if (isFull) throw new Error("ENOSPC: no space left on device, write");
      const taken = bytes.subarray(0, atOnce);
      text += Buffer.from(taken).toString("latin1");
      return taken.length;
    },
    fill(now: boolean) {
      isFull = now;
    },
    lines: (): readonly { readonly msg: string; readonly lost?: number; readonly reason?: string }[] =>
      text
        .split("\n")
        .filter((line) => line !== "")
        .map((line) => JSON.parse(line)),
  };
}

test("lines are written whole, however few bytes are taken at a time", () => {
  const { write, lines } = disk(7);
  const log = createLog("info", createLogOutput(2, write));
  log.info("one");
  log.info("two");
  assert.deepEqual(
    lines().map(({ msg }) => msg),
    ["one", "two"],
  );
});

test("what a full disk does not take is lost, and told of once there is space again", () => {
  const { write, fill, lines } = disk(1000);
  const log = createLog("info", createLogOutput(2, write));
  log.info("before");
  fill(true);
  for (let i = 0; i < 3; i++) log.info("meanwhile");
  fill(false);
  log.info("after");
  log.info("later");
  assert.deepEqual(
    lines().map(({ msg, lost }) => [msg, lost]),
    [
      ["before", undefined],
      ["lines of this log were lost", 3],
      ["after", undefined],
      ["later", undefined],
    ],
  );
  assert.equal(lines()[1]?.reason, "ENOSPC: no space left on device, write");
});

test("a device that is full is no error", () => {
  const full = openSync("/dev/full", "w");
  try {
    createLog("info", createLogOutput(full)).info("lost");
  } finally {
    closeSync(full);
  }
});
