import { type Static, Type } from "typebox";
import { Compile } from "typebox/compile";
import { jsonOf } from "../platform/json-of.ts";
import type { Distribution, Distributions } from "./distribution.ts";

const Count = Type.Integer({ minimum: 0 });
const Entry = Type.Tuple([
  Type.String(),
  Type.Union([Count, Type.Null()]),
  Count,
  Count,
  Count,
  Type.Union([Type.Tuple([Type.String(), Type.String()]), Type.Null()]),
]);
const Report = Type.Array(Entry);
const validator = Compile(Report);

/** A ConfigMap takes 1 MiB. */
const MAX_LENGTH = 900_000;

/** What a replica tells the leader of the proxies that it serves: objects that concern none are left out. */
export function buildReport(distributions: Distributions): string {
  const entries = [...distributions]
    .filter(([, { proxies }]) => proxies > 0)
    .map(
      ([key, { generation, proxies, reached, refused, refusal }]): Static<typeof Entry> => [
        key,
        generation,
        proxies,
        reached,
        refused,
        refusal === null ? null : [refusal.proxy, refusal.message.slice(0, 1000)],
      ],
    );
  const texts = entries.map((entry) => JSON.stringify(entry));
  let length = 0;
  const fitting = texts.filter((text) => {
    length += text.length + 2;
    return length <= MAX_LENGTH;
  });
  return `[${fitting.join(",\n")}]`;
}

/** Undefined for what is no report. */
export function parseReport(text: string): Distributions | undefined {
  const value = jsonOf(text);
  if (!validator.Check(value)) return undefined;
  return new Map(
    value.map(([key, generation, proxies, reached, refused, refusal]): [string, Distribution] => [
      key,
      {
        ...{ generation, proxies, reached, refused },
        refusal: refusal === null ? null : { proxy: refusal[0], message: refusal[1] },
      },
    ]),
  );
}

/** What replicas tell the leader of how far objects have come among their proxies. */
export const DISTRIBUTIONS = {
  title: "how far objects have come",
  namePrefix: "trysail-status",
  label: "trysail.dev/status-report",
  build: buildReport,
  parse: parseReport,
};
