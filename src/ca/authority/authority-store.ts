import Type, { type Static } from "typebox";
import { Compile } from "typebox/compile";
import { messageOf, TrysailError } from "../../platform/errors.ts";
import { SecretBytes } from "../../platform/secret-bytes.ts";
import { certificatesOf } from "../x509/pem-certificates.ts";
import type { AuthorityState, Slot } from "./authority-state.ts";

/** Where an authority's state outlives a restart, and where its replicas find what one of them decided. */
export interface AuthorityStore {
  /** Where it is, for errors and the log. */
  readonly name: string;
  /** What was saved last; undefined where nothing was. */
  load(): Promise<StoredState | EmptiedState | undefined>;
  /**
   * Replaces what was loaded as `replaces` (null: nothing yet). Answers what it is stored as, or undefined, and changes
   * nothing, where somebody else was first. On disk, or at its peers, when it resolves.
   */
  save(state: AuthorityState, replaces: string | null): Promise<StoredState | undefined>;
}

export interface StoredState {
  readonly state: AuthorityState;
  /** Differs between any two saved states. */
  readonly revision: string;
}

/** Somebody took away what was saved, and left the place of it. */
export interface EmptiedState {
  readonly state: null;
  readonly revision: string;
}

const SlotDocument = Type.Object({
  id: Type.String(),
  origin: Type.Union([Type.Literal("self-signed"), Type.Literal("plugged-in")]),
  certificatePem: Type.String(),
  keyPem: Type.String(),
  intermediatesPem: Type.String(),
  rootsPem: Type.String(),
  crossCertificatesPem: Type.String(),
  preparedAt: Type.Number(),
  longestLifeMs: Type.Number(),
});

const StateDocument = Type.Object({
  version: Type.Literal(1),
  active: SlotDocument,
  prepared: Type.Union([SlotDocument, Type.Null()]),
  old: Type.Array(
    Type.Object({
      id: Type.String(),
      origin: SlotDocument.properties.origin,
      certificatePem: Type.String(),
      rootsPem: Type.String(),
      leavesUntil: Type.Number(),
    }),
  ),
  /** The first versions wrote none. */
  revocationListsPem: Type.Optional(Type.String()),
});

const validator = Compile(StateDocument);

/** The state as JSON, private keys included: it belongs where only the control plane can read. */
export function authorityDocument({ active, prepared, old, revocationListsPem }: AuthorityState): string {
  const document: Static<typeof StateDocument> = {
    version: 1,
    active: slotDocument(active),
    prepared: prepared === null ? null : slotDocument(prepared),
    old: [...old],
    revocationListsPem,
  };
  return `${JSON.stringify(document, null, 2)}\n`;
}

/** Reads what `authorityDocument` wrote. Throws `failed-precondition`, which says nothing of what the text holds. */
export function parseAuthorityDocument(text: string, name: string): AuthorityState {
  const refuse = (problem: string) =>
    new TrysailError("failed-precondition", `the authority's state ${name} ${problem}`);
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    throw refuse("is not JSON");
  }
  if (!validator.Check(document)) {
    const [first] = validator.Errors(document);
    throw refuse(`is not one that this version reads (${first?.instancePath || "/"} ${first?.message ?? ""})`);
  }
  const { active, prepared, old, revocationListsPem = "" } = document;
  try {
    for (const slot of [active, ...(prepared === null ? [] : [prepared]), ...old]) {
      if (certificatesOf(slot.certificatePem).length !== 1) throw new Error("a slot without a certificate");
      if (certificatesOf(slot.rootsPem).length === 0) throw new Error("a slot without a root");
    }
  } catch (error) {
    throw refuse(`holds a certificate that cannot be read (${messageOf(error)})`);
  }
  const next = prepared === null ? null : slotFrom(prepared);
  return { active: slotFrom(active), prepared: next, old, revocationListsPem };
}

function slotDocument({ keyPem, ...slot }: Slot): Static<typeof SlotDocument> {
  return { ...slot, keyPem: Buffer.from(keyPem.reveal()).toString("latin1") };
}

function slotFrom({ keyPem, ...slot }: Static<typeof SlotDocument>): Slot {
  return { ...slot, keyPem: new SecretBytes(Buffer.from(keyPem, "latin1")) };
}
