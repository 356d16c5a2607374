import { Option } from "commander";

/** `--output table|json`, for people and for scripts. */
export function outputOption(): Option {
  return new Option("-o, --output <format>", "how to print it").choices(["table", "json"]).default("table");
}
