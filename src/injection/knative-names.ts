import { isRecord } from "../mesh/conform.ts";

/** `container-name-template` of Knative's ConfigMap `config-defaults`, as it comes. */
const USUAL_NAME = "user-container";

/**
 * A Knative revision's template with the name that Knative would give to each container without one, which is how its
 * users write them; the same value where each has one. https://knative.dev/docs/serving/configuration/config-defaults/
 */
export function withKnativeNames(template: unknown): unknown {
  if (!isRecord(template) || !isRecord(template.spec) || !Array.isArray(template.spec.containers)) return template;
  const containers: readonly unknown[] = template.spec.containers;
  if (!containers.some(isNameless)) return template;
  const taken = new Set(containers.flatMap((container) => (isRecord(container) ? [container.name] : [])));
  const named = containers.map((container) => {
    if (!isNameless(container)) return container;
    const name = freeName(taken, containers.length);
    taken.add(name);
    return { ...container, name };
  });
  return { ...template, spec: { ...template.spec, containers: named } };
}

function isNameless(container: unknown): container is Record<string, unknown> {
  return isRecord(container) && (container.name ?? "") === "";
}

/** Of several, each has a number. */
function freeName(taken: ReadonlySet<unknown>, count: number): string {
  if (count === 1) return USUAL_NAME;
  for (let number = 0; ; number++) if (!taken.has(`${USUAL_NAME}-${number}`)) return `${USUAL_NAME}-${number}`;
}
