import { addToList } from "../platform/add-to-list.ts";
import { labelsMatch } from "./labels.ts";

export type Labels = Readonly<Record<string, string>>;

export interface Workload {
  readonly namespace: string;
  readonly labels: Labels;
}

/** Which workloads have which labels, without looking at all of them for each question. */
export class WorkloadIndex<W extends Workload = Workload> {
  readonly #all: LabelledWorkloads<W>;
  readonly #byNamespace: ReadonlyMap<string, LabelledWorkloads<W>>;

  constructor(workloads: readonly W[]) {
    this.#all = new LabelledWorkloads(workloads);
    const grouped = [...Map.groupBy(workloads, ({ namespace }) => namespace)];
    this.#byNamespace = new Map(grouped.map(([namespace, found]) => [namespace, new LabelledWorkloads(found)]));
  }

  /** Those that have all of these labels, in this namespace or in all; the same list for the same question. */
  selected(labels: Labels, namespace?: string): readonly W[] {
    const among = namespace === undefined ? this.#all : this.#byNamespace.get(namespace);
    return among?.selected(labels) ?? [];
  }
}

/** Some workloads, by each of their labels. */
class LabelledWorkloads<W extends Workload> {
  readonly #all: readonly W[];
  #byLabel: Map<string, W[]> | undefined;
  #answers = new Map<string, readonly W[]>();

  constructor(workloads: readonly W[]) {
    this.#all = workloads;
  }

  selected(labels: Labels): readonly W[] {
    const key = selectionKey(labels);
    const known = this.#answers.get(key);
    if (known !== undefined) return known;
    const lists = labelTexts(labels).map((text) => this.#having(text));
    const [fewest = this.#all] = lists.sort((a, b) => a.length - b.length);
    // Not remembered, as there is no end of labels that nobody has, which whoever asks may choose.
    if (fewest.length === 0) return NOBODY;
    const found = fewest.filter((workload) => labelsMatch(labels, workload.labels));
    this.#answers.set(key, found);
    return found;
  }

  #having(text: string): readonly W[] {
    if (this.#byLabel === undefined) {
      this.#byLabel = new Map();
      for (const workload of this.#all) {
        for (const each of labelTexts(workload.labels)) addToList(this.#byLabel, each, workload);
      }
    }
    return this.#byLabel.get(text) ?? [];
  }
}

const NOBODY: readonly never[] = Object.freeze([]);

/** One text for the same labels in whatever order. */
export function selectionKey(labels: Labels): string {
  return JSON.stringify(labelTexts(labels).sort());
}

export function labelTexts(labels: Labels): string[] {
  return Object.entries(labels).map(([key, value]) => `${key}=${value}`);
}

/**
 * Of selections by name those that have a workload in common with others: told by the workloads, of which most have one
 * selection or two, and not by comparing every two selections.
 */
export class Meetings {
  #namesOf = new Map<Workload, string[]>();
  #met = new WeakMap<readonly Workload[], ReadonlySet<string>>();

  constructor(selections: ReadonlyMap<string, readonly Workload[]>) {
    for (const [name, workloads] of selections) {
      for (const workload of workloads) addToList(this.#namesOf, workload, name);
    }
  }

  /** The names of the selections that have one of these. */
  with(workloads: readonly Workload[]): ReadonlySet<string> {
    const known = this.#met.get(workloads);
    if (known !== undefined) return known;
    const met = new Set<string>();
    for (const workload of workloads) for (const name of this.#namesOf.get(workload) ?? []) met.add(name);
    this.#met.set(workloads, met);
    return met;
  }
}
