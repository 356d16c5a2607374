import type { Registry } from "prom-client";
import type { Clock } from "./clock.ts";
import type { Logger } from "./log.ts";
import type { Random } from "./random.ts";

/** What every long-lived part of the control plane is given. */
export interface Platform {
  readonly clock: Clock;
  readonly random: Random;
  readonly log: Logger;
  readonly registry: Registry;
}
