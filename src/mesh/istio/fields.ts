import { type Static, Type } from "typebox";

/** Types of fields that several of Istio's networking kinds share. */

/** Fields that a type does not name are reported. */
export const closed = { additionalProperties: false } as const;

/** Exactly one of the three, as in Istio's oneof. */
export const StringMatch = Type.Union([
  Type.Object({ exact: Type.String() }, closed),
  Type.Object({ prefix: Type.String() }, closed),
  Type.Object({ regex: Type.String({ maxLength: 1024 }) }, closed),
]);
export type StringMatch = Static<typeof StringMatch>;

/** A Go duration as Istio's YAML has it: `1.5s`, `250ms`, `1h`, `1m30s`. */
export const DurationText = Type.String({
  pattern: "^([0-9]+(\\.[0-9]+)?(h|m|s|ms|us|ns))+$",
  description: "a duration such as 1.5s, 250ms or 1m30s",
});

/** A DNS name or address, perhaps with a leading wildcard; what it cannot hold are Envoy's separators, such as `|`. */
export const HostText = Type.String({
  pattern: "^(\\*|(\\*\\.)?[a-zA-Z0-9_]([-a-zA-Z0-9_.]*[a-zA-Z0-9_])?)$",
  maxLength: 255,
  description: "a host name, an address, * or *.suffix",
});

const SUBSET_NAME = "[a-zA-Z0-9]([-a-zA-Z0-9]*[a-zA-Z0-9])?";
const subset = { maxLength: 63, description: "a name of letters, digits and -" };

/** The name of a DestinationRule's subset: a DNS label, as in Istio. */
export const SubsetName = Type.String({ ...subset, pattern: `^${SUBSET_NAME}$` });

export const StringMap = Type.Record(Type.String(), Type.String(), closed);
export const PortNumber = Type.Integer({ minimum: 1, maximum: 65535 });
export const PortSelector = Type.Object({ number: PortNumber }, closed);

/** What an unsigned 32-bit number of Envoy's can hold. */
export const Count = Type.Integer({ minimum: 0, maximum: 2 ** 31 - 1 });

/** Istio's Percent, 0 to 100 with fractions. */
export const Percent = Type.Object({ value: Type.Optional(Type.Number({ minimum: 0, maximum: 100 })) }, closed);
export type Percent = Static<typeof Percent>;

/** One that is named, where an empty text names none: so protobuf's JSON writes it, and templates leave it behind. */
const PerhapsSubset = Type.String({ ...subset, pattern: `^(${SUBSET_NAME})?$` });

/** Where traffic goes: a service, perhaps a subset of it, at a port that may be left out where it has only one. */
export const Destination = Type.Object(
  { host: HostText, subset: Type.Optional(PerhapsSubset), port: Type.Optional(PortSelector) },
  closed,
);
export type Destination = Static<typeof Destination>;

/** Shares of traffic; Envoy's sum of them is a 32-bit number. */
export const Weight = Type.Integer({ minimum: 0, maximum: 1_000_000 });
