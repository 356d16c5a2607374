import { TrysailError } from "../platform/errors.ts";
import { ANNOTATION } from "./annotations.ts";
import type { ExtensionPlan } from "./extend.ts";
import { mergePod } from "./merge-pod.ts";
import type { InjectionPlan } from "./plan.ts";
import type { Container, PodManifest } from "./pod.ts";
import { CONTAINER_NAME } from "./pod-contract.ts";
import { parsePod } from "./review.ts";

/** The pod with the plan carried out. A new pod; the parts that stay are shared with the one passed in. */
export function applyPlan(pod: PodManifest, plan: InjectionPlan | ExtensionPlan): PodManifest {
  const moved = withRewrites(pod, plan.probes);
  if (plan.kind === "extend") return withInitEnvironment(moved, plan);
  const names = templateContainers(plan);
  const wishes = [...(moved.spec.initContainers ?? []), ...moved.spec.containers].filter(({ name }) => names.has(name));
  const withoutWishes = wishes.length === 0 ? moved : without(moved, names);
  assertApp(withoutWishes, plan);
  const merged = parsePod(
    [...plan.templates, statusOf(plan)].reduce<unknown>((base, part) => mergePod(base, part), withoutWishes),
  );
  return inOrder(wishes.length === 0 ? merged : withWishes(merged, wishes), plan);
}

function assertApp(pod: PodManifest, { templates }: InjectionPlan): void {
  if (pod.spec.containers.length > 0 || templates.some(({ spec }) => (spec?.containers ?? []).length > 0)) return;
  throw new TrysailError("invalid-argument", `spec.containers: there is none besides ${CONTAINER_NAME.proxy}`);
}

function templateContainers(plan: InjectionPlan): ReadonlySet<string> {
  const containers = plan.templates.flatMap(({ spec }) => [
    ...(spec?.initContainers ?? []),
    ...(spec?.containers ?? []),
  ]);
  return new Set(containers.map(({ name }) => name));
}

/** A container that bears the name of a template's is no container of its own, but what its author changes about that. */
function without(pod: PodManifest, names: ReadonlySet<string>): PodManifest {
  return withContainers(pod, (containers) => containers.filter(({ name }) => !names.has(name)));
}

function withWishes(pod: PodManifest, wishes: readonly Container[]): PodManifest {
  const merge = (container: Container): unknown => {
    const wish = wishes.find(({ name }) => name === container.name);
    if (wish === undefined) return container;
    const { image, imagePullPolicy, ...fields } = wish;
    // Kubernetes fills in a policy for the tag it takes `auto` to have; that is no wish.
    const said = image === AUTO ? fields : wish;
    return mergePod(container, Object.fromEntries(Object.entries(said).filter(([, value]) => value !== null)));
  };
  return parsePod(withContainers(pod, (containers) => containers.map(merge)));
}

/** As an image: whichever the template has. */
const AUTO = "auto";

/** The proxy runs before the pod's own init containers, so that these have the mesh already. */
function inOrder(pod: PodManifest, plan: InjectionPlan): PodManifest {
  const { containers, initContainers } = pod.spec;
  const first = plan.initContainers.map(({ name }) => name);
  const rank = ({ name }: Container) => (first.includes(name) ? first.indexOf(name) : first.length);
  const proxies = containers.filter(({ name }) => name === CONTAINER_NAME.proxy);
  const apps = containers.filter(({ name }) => name !== CONTAINER_NAME.proxy);
  return {
    ...pod,
    spec: {
      ...pod.spec,
      ...(initContainers ? { initContainers: initContainers.toSorted((a, b) => rank(a) - rank(b)) } : {}),
      containers: plan.proxyFirst ? [...proxies, ...apps] : [...apps, ...proxies],
    },
  };
}

/** What Istio's tools look for to see that, by whom and how a pod was injected. */
function statusOf({ templates, revision }: InjectionPlan): object {
  const names = (list: "initContainers" | "containers" | "volumes" | "imagePullSecrets") => {
    const found = new Set(templates.flatMap(({ spec }) => (spec?.[list] ?? []).map(({ name }) => name)));
    return found.size === 0 ? null : [...found];
  };
  const status = {
    initContainers: names("initContainers"),
    containers: names("containers"),
    volumes: names("volumes"),
    imagePullSecrets: names("imagePullSecrets"),
    revision,
  };
  const annotations = { [ANNOTATION.revision.name]: revision, [ANNOTATION.status.name]: JSON.stringify(status) };
  return { metadata: { annotations } };
}

function withInitEnvironment(pod: PodManifest, { initEnvironment }: ExtensionPlan): PodManifest {
  const initContainers = (pod.spec.initContainers ?? []).map((container) =>
    container.name === CONTAINER_NAME.init ? { ...container, env: initEnvironment } : container,
  );
  return { ...pod, spec: { ...pod.spec, initContainers } };
}

function withRewrites(pod: PodManifest, probes: InjectionPlan["probes"]): PodManifest {
  if (probes.length === 0) return pod;
  const byContainer = Map.groupBy(probes, ({ container }) => container);
  const rewrite = (container: Container): Container => {
    const rewrites = byContainer.get(container.name);
    if (rewrites === undefined) return container;
    return { ...container, ...Object.fromEntries(rewrites.map(({ field, value }) => [field, value])) };
  };
  return withContainers(pod, (containers) => containers.map(rewrite));
}

/** The pod with other lists of containers and, where it has some, of init containers. */
function withContainers<T>(pod: PodManifest, change: (containers: readonly Container[]) => T[]) {
  const { containers, initContainers } = pod.spec;
  return {
    ...pod,
    spec: {
      ...pod.spec,
      containers: change(containers),
      ...(initContainers ? { initContainers: change(initContainers) } : {}),
    },
  };
}
