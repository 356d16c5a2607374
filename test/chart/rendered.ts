import { parseAllDocuments } from "yaml";
import { CHART, helm } from "../support/helm.ts";

/** An object of a chart, as far as tests look into it. */
export interface RenderedObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly [field: string]: unknown;
  };
  // biome-ignore lint/suspicious/noExplicitAny: an object of any kind, which assertions pick apart
  readonly [field: string]: any;
}

/** What the control plane's chart makes of some values. */
export function renderChart(values: object = {}): Promise<readonly RenderedObject[]> {
  return renderRelease("trysail", CHART, "trysail-system", values);
}

/** What a chart makes of some values, installed under a name into a namespace. */
export async function renderRelease(
  release: string,
  chart: string,
  namespace: string,
  values: object,
): Promise<readonly RenderedObject[]> {
  const set = Object.entries(values).flatMap(([name, value]) => ["--set-json", `${name}=${JSON.stringify(value)}`]);
  const text = await helm("template", release, chart, `--namespace=${namespace}`, ...set);
  return parseAllDocuments(text)
    .map((document) => {
      // Such as a key that is there twice, of which either might count.
      const [error] = document.errors;
      if (error !== undefined) throw error;
      return document.toJS();
    })
    .filter((object) => object !== null);
}

/** The one object of a kind, and of a name where there are several. */
export function only(objects: readonly RenderedObject[], kind: string, name?: string): RenderedObject {
  const found = objects.filter(
    (object) => object.kind === kind && (name === undefined || object.metadata.name === name),
  );
  const [object] = found;
  if (object === undefined || found.length > 1) throw new Error(`${found.length} objects ${kind} ${name ?? ""}`);
  return object;
}
