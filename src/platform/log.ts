import { type DestinationStream, type Logger, pino } from "pino";
import { createLogOutput } from "./log-output.ts";

export type { Logger };

export type LogLevel = "debug" | "info" | "warn" | "error" | "silent";

/** JSON lines on `destination` (standard error by default); secrets must be wrapped in `SecretBytes` to be logged. */
export function createLog(level: LogLevel, destination: DestinationStream = createLogOutput(2)): Logger {
  const formatters = { level: (label: string) => ({ level: label }) };
  return pino({ level, base: null, formatters, timestamp: pino.stdTimeFunctions.isoTime }, destination);
}
