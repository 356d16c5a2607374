import { type Static, Type } from "typebox";
import { Compile } from "typebox/compile";
import { jsonOf } from "../../platform/json-of.ts";
import type { RotationFacts } from "./rotation.ts";

/** What one replica knows of whom its proxies trust. */
const TrustReport = Type.Object({
  /** Fingerprints (SHA-256) of the roots that it publishes, and that those who acknowledged have accepted. */
  roots: Type.Array(Type.String(), { maxItems: 100 }),
  /** Of the proxies that are connected to it. */
  proxies: Type.Integer({ minimum: 0 }),
  acknowledged: Type.Integer({ minimum: 0 }),
  /** Some of those that have not, as NAME.NAMESPACE. */
  behind: Type.Array(Type.String({ maxLength: 500 }), { maxItems: 10 }),
});
export type TrustReport = Readonly<Static<typeof TrustReport>>;

const validator = Compile(TrustReport);

/** What replicas of every revision tell each other, since they share one authority. */
export const TRUST = {
  title: "whom proxies trust",
  namePrefix: "trysail-trust",
  label: "trysail.dev/trust-report",
  build: (report: TrustReport): string => JSON.stringify(report),
  parse(text: string): TrustReport | undefined {
    const value = jsonOf(text);
    return validator.Check(value) ? value : undefined;
  },
};

/** A single proxy holds a rotation, but people read no more names than these. */
const MOST_NAMED = 5;

/** The proxies of all replicas as those of one: what a replica tells of a bundle without one of our roots is no acknowledgement. */
export function trustOfAll(
  own: TrustReport,
  elsewhere: readonly TrustReport[],
): Pick<RotationFacts, "proxies" | "acknowledged" | "behind"> {
  const others = elsewhere.map((report) =>
    own.roots.every((root) => report.roots.includes(root)) ? report : { ...report, acknowledged: 0 },
  );
  const all = [own, ...others];
  const total = (count: "proxies" | "acknowledged") => all.reduce((sum, report) => sum + report[count], 0);
  return {
    proxies: total("proxies"),
    acknowledged: total("acknowledged"),
    behind: all.flatMap(({ behind }) => behind).slice(0, MOST_NAMED),
  };
}
