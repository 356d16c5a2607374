import { join } from "node:path";
import { TrysailError } from "../../platform/errors.ts";
import type { StateDir } from "../../platform/state-dir.ts";
import { parseAuthorityMaterial } from "./authority-material.ts";
import { type AuthorityState, slotOf, trustBundleOf } from "./authority-state.ts";
import { type AuthorityStore, authorityDocument, parseAuthorityDocument, type StoredState } from "./authority-store.ts";

export interface FolderStoreDeps {
  readonly state: StateDir;
  readonly trustDomain: string;
}

const FOLDER = "ca";
const BUNDLE = `${FOLDER}/root-cert.pem`;
/** Where the first versions kept the root's key. */
const FIRST_KEY = `${FOLDER}/root-key.pem`;
const REVISION = /^authority-(\d+)\.json$/;

/**
 * The authority of one machine, in `ca` of its state folder: `authority-N.json`, of which the one with the highest
 * number counts, and `root-cert.pem`, the trust bundle for others to read. A save makes the file with the next
 * number, which only one process can, and then removes the ones before it, with the keys in them.
 */
export function createFolderStore(deps: FolderStoreDeps): AuthorityStore {
  const { state } = deps;
  const pathOf = (name: string): string => join(state.path, name);

  const newest = async (): Promise<number | undefined> => {
    const numbers = (await state.listState(FOLDER)).map((name) => Number(REVISION.exec(name)?.[1] ?? Number.NaN));
    return numbers.filter((number) => !Number.isNaN(number)).sort((a, b) => b - a)[0];
  };

  const load = async (): Promise<StoredState | undefined> => {
    for (;;) {
      const number = await newest();
      if (number === undefined) return (await takeOver()) ? load() : undefined;
      const bytes = await state.readState(fileOf(number));
      // Removed between the two steps, so a newer one is there.
      if (bytes === undefined) continue;
      const loaded = parseAuthorityDocument(bytes.toString("utf8"), pathOf(fileOf(number)));
      await settle(loaded, number);
      return { state: loaded, revision: String(number) };
    }
  };

  const save = async (next: AuthorityState, replaces: string | null): Promise<StoredState | undefined> => {
    const number = Number(replaces ?? 0) + 1;
    const text = authorityDocument(next);
    if (!(await state.createStateFile(fileOf(number), text, 0o600))) return undefined;
    if ((await newest()) !== number) {
      // What this would have replaced was replaced long ago, so far that its number was free again.
      await state.removeState(fileOf(number));
      return undefined;
    }
    await settle(next, number);
    // There are keys in it, and one that was retired must be nowhere any more.
    await state.removeLeftovers(fileOf(number));
    return { state: next, revision: String(number) };
  };

  /** A crash may have come between a save and this, so it is done at every load as well. */
  const settle = async (current: AuthorityState, number: number): Promise<void> => {
    const bundle = trustBundleOf(current);
    if ((await state.readState(BUNDLE))?.toString("utf8") !== bundle) {
      await state.writeStateAtomically(BUNDLE, bundle, 0o644);
    }
    for (const name of await state.listState(FOLDER)) {
      const older = REVISION.exec(name)?.[1];
      if (older !== undefined && Number(older) < number) await state.removeState(`${FOLDER}/${name}`);
    }
  };

  /** Moves a root of the first versions, a certificate and a key in two files, to where this one keeps it. */
  const takeOver = async (): Promise<boolean> => {
    const certificate = { name: pathOf(BUNDLE), bytes: await state.readState(BUNDLE) };
    const key = { name: pathOf(FIRST_KEY), bytes: await state.readState(FIRST_KEY) };
    if (certificate.bytes === undefined && key.bytes === undefined) {
      if ((await state.listState(FOLDER)).length === 0) return false;
      // Another process may have saved the first one in between.
      if ((await newest()) !== undefined) return true;
      throw new TrysailError("failed-precondition", `${pathOf(FOLDER)} has other files, but no authority in it`);
    }
    try {
      const material = parseAuthorityMaterial({ certificate, key }, deps);
      const active = slotOf(material, { origin: "self-signed", preparedAt: 0 });
      const first = { ...active, longestLifeMs: FIRST_LONGEST_LIFE_MS };
      await save({ active: first, prepared: null, old: [], revocationListsPem: "" }, null);
    } catch (error) {
      if ((await newest()) !== undefined) return true;
      throw error;
    }
    await state.removeState(FIRST_KEY);
    return true;
  };

  return { name: pathOf(FOLDER), load, save };
}

/** The first versions wrote down nothing of what they signed, and signed nothing for longer. */
const FIRST_LONGEST_LIFE_MS = 90 * 86_400_000;

function fileOf(number: number): string {
  return `${FOLDER}/authority-${number}.json`;
}
