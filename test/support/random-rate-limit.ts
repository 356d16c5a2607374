import fc from "fast-check";
import { pick, some } from "./random-values.ts";

/** Specs of RateLimits of everything that they can say, some of it refused. */

const rate = fc.record(
  { amount: pick(1, 7, 2 ** 31 - 1), unit: pick("SECOND", "MINUTE", "HOUR", "DAY", "MONTH"), burst: pick(1, 7, 9) },
  { requiredKeys: ["amount", "unit"] },
);
const ports = some(pick(80, 8080, 15006), 2);
const attribute = pick("IDENTITY", "METHOD", "PATH", "REMOTE_ADDRESS").map((value) => ({ attribute: value }));
const counted = fc.oneof(
  attribute,
  pick("x-a", "X-B", "`~!#$%&*", ":path", "host").map((header) => ({ header })),
  pick("sub", "https://example.com/a-b", "a%b").map((claim) => ({ claim })),
  pick("gold", "a/b:c").map((constant) => ({ constant })),
);
const match = fc.record(
  {
    methods: fc.array(pick("GET", "post", "M-SEARCH", "*"), { minLength: 1, maxLength: 2 }),
    paths: fc.array(pick("/", "*", "/a.b*", "*(c", "/[d", "a\\"), { minLength: 1, maxLength: 2 }),
    headers: fc.dictionary(
      pick("x-a", "X-A", "host", "odd name"),
      pick({ exact: "" }, { exact: "a" }, { prefix: "" }, { prefix: "b" }, { regex: "a|b+" }, { regex: "(" }),
      { maxKeys: 2 },
    ),
  },
  { requiredKeys: [] },
);
const name = pick("a", "b", "c", "d");
const common = { name, rate, ports, shadow: fc.boolean() };
const required = { requiredKeys: ["name", "rate", "scope"] } as const;
const request = fc.record(
  { ...common, scope: pick("CONNECTION", "PROXY", "GLOBAL"), match, by: some(counted) },
  { requiredKeys: [...required.requiredKeys] },
);
const connection = fc.record(
  { ...common, scope: pick("PROXY", "GLOBAL"), by: some(counted, 1) },
  { requiredKeys: [...required.requiredKeys] },
);

export const rateLimitSpec = fc.record(
  {
    selector: fc.record({ matchLabels: fc.record({ app: pick("a", "b") }, { requiredKeys: [] }) }),
    requests: fc.uniqueArray(request, { selector: ({ name }) => name, maxLength: 3 }),
    connections: fc.uniqueArray(connection, { selector: ({ name }) => name, maxLength: 1 }),
    exceeded: fc.record(
      {
        status: pick(400, 429, 499, 503),
        body: pick("", "%REQ(a)% no"),
        headers: fc.dictionary(
          pick("x-a", "retry-after", ":status", "content-type"),
          pick("", "100%", "%REQ(a)%", "a\tb"),
        ),
      },
      { requiredKeys: [] },
    ),
    showLimits: fc.boolean(),
    service: fc.record(
      {
        host: pick("a", "c.shop.svc.cluster.local", "x.example.com", "*"),
        port: pick(80, 8080),
        timeout: pick("0s", "5ms", "1h"),
        failureMode: pick("ALLOW", "DENY"),
      },
      { requiredKeys: [] },
    ),
  },
  { requiredKeys: [] },
);
