import { createClient, defineScript } from "redis";
import { messageOf, TrysailError } from "../platform/errors.ts";
import type { Logger } from "../platform/log.ts";
import type { Charge, Charged, CounterStore } from "./counter-store.ts";

export interface RedisCountersDeps {
  /** `redis[s]://[[user]:password@]host[:port][/database]`. */
  readonly url: string;
  readonly log: Logger;
}

const PREFIX = "trysail:ratelimit:";
/** Proxies wait less, so an answer that takes longer is of use to nobody. */
const COMMAND_TIMEOUT_MS = 1000;
const RECONNECT_MS = 200;

/**
 * Looks at all counts before it adds to any, in one step that nothing comes between. A count ends by itself, some time
 * behind its window: a process whose clock is a little late must find it still.
 */
const SCRIPT = `
local before = {}
local added = 1
for i, key in ipairs(KEYS) do
  local hits, limit = tonumber(ARGV[i * 3 - 2]), tonumber(ARGV[i * 3 - 1])
  before[i] = tonumber(redis.call('GET', key) or '0')
  if limit >= 0 and hits > 0 and before[i] + hits > limit then added = 0 end
end
if added == 1 then
  for i, key in ipairs(KEYS) do
    redis.call('INCRBY', key, ARGV[i * 3 - 2])
    if before[i] == 0 then redis.call('PEXPIRE', key, ARGV[i * 3]) end
  end
end
table.insert(before, added)
return before
`;

const chargeScript = defineScript({
  SCRIPT,
  parseCommand(parser, charges: readonly Charge[]) {
    // A script's keys are counted by the client where it is not told.
    parser.push(String(charges.length));
    for (const { key } of charges) parser.pushKey(PREFIX + key);
    for (const { hits, limit, ttlMs } of charges) {
      parser.push(String(hits), String(limit ?? -1), String(ttlMs));
    }
  },
  transformReply: (reply: unknown): number[] => (Array.isArray(reply) ? reply.map(Number) : []),
});

/**
 * Counts in Redis, which any number of processes share. Resolves whether or not Redis is there: it is looked for again
 * and again, and meanwhile every charge is refused as `unavailable`. Rejects where the address cannot be one.
 */
export async function createRedisCounters({ url, log }: RedisCountersDeps): Promise<CounterStore> {
  const client = open(url);
  let last = "Redis has not answered yet";
  client.on("error", (error: unknown) => {
    const reason = messageOf(error) || "the connection was refused";
    if (reason !== last)
      log.warn({ reason }, "Redis is away: requests are answered as each RateLimit's failureMode says");
    last = reason;
  });
  client.on("ready", () => {
    log.info("Redis is there");
    last = "";
  });
  const connected = client.connect().catch((error: unknown) => {
    last = messageOf(error);
  });
  return {
    async charge(charges) {
      if (!client.isReady) throw new TrysailError("unavailable", "the counts are out of reach: Redis does not answer");
      try {
        const reply = await client.charge(charges);
        return parseReply(reply, charges.length);
      } catch (cause) {
        throw new TrysailError("unavailable", "the counts are out of reach: Redis does not answer", { cause });
      }
    },
    notReady: () => (client.isReady ? null : `Redis is away: ${last}`),
    async stop() {
      client.destroy();
      await connected;
    },
  };
}

function open(url: string) {
  try {
    return createClient({
      url,
      disableOfflineQueue: true,
      disableClientInfo: true,
      commandOptions: { timeout: COMMAND_TIMEOUT_MS },
      // Notices one that is connected and says nothing.
      pingInterval: COMMAND_TIMEOUT_MS,
      socket: {
        connectTimeout: COMMAND_TIMEOUT_MS,
        socketTimeout: 3 * COMMAND_TIMEOUT_MS,
        reconnectStrategy: RECONNECT_MS,
      },
      scripts: { charge: chargeScript },
    });
  } catch (cause) {
    throw new TrysailError("invalid-argument", "--redis-url is not like redis://[:PASSWORD@]HOST[:PORT]", { cause });
  }
}

function parseReply(reply: readonly number[], length: number): Charged {
  if (reply.length !== length + 1 || reply.some((value) => !Number.isFinite(value))) {
    throw new TrysailError("unavailable", "Redis answered something else than counts");
  }
  return { before: reply.slice(0, -1), isAdded: reply.at(-1) === 1 };
}
