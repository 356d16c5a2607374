import { type DestinationStream, type Logger, pino } from "pino";

export type { Logger };

export type LogLevel = "debug" | "info" | "warn" | "error" | "silent";

/** JSON lines on `destination` (standard error by default); secrets must be wrapped in `SecretBytes` to be logged. */
export function createLog(level: LogLevel, destination: DestinationStream = pino.destination(2)): Logger {
  const formatters = { level: (label: string) => ({ level: label }) };
  return pino({ level, base: null, formatters, timestamp: pino.stdTimeFunctions.isoTime }, destination);
}
