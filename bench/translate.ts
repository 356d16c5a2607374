import type { KnownObject } from "../src/mesh/kinds.ts";
import { compareText } from "../src/mesh/object.ts";
import { parseObjects } from "../src/mesh/parse-object.ts";
import { createSnapshotBuilder } from "../src/mesh/snapshot.ts";
import { createTranslator, type ProxyDescription } from "../src/translate/translator.ts";
import { buildEndpointSlice, buildMesh, buildVirtualService, endpointAddresses, type MeshSize } from "./mesh.ts";

/** Processor time of this process, in ms. */
export interface TranslationCpu {
  /** From parsed objects to what the first proxy is sent, by a program that has translated nothing yet. */
  readonly firstProxyMs: number;
  /** From parsed objects to what every proxy is sent: medians. */
  readonly routeChangeMs: number;
  readonly endpointChangeMs: number;
}

const WARM_UP = 30;
const ROUNDS = 100;

/**
 * What it takes to turn objects into the resources of so many proxies of one namespace, without files and streams. It is
 * processor time, so other work on the machine is in it far less than in what proxies wait for.
 */
export function measureTranslation(size: MeshSize, proxyCount: number): TranslationCpu {
  const objects = buildMesh(size)
    .flatMap(({ object }) => parsed(object))
    .sort((a, b) => compareText(placeOf(a), placeOf(b)));
  const proxies = Array.from({ length: proxyCount }, (_, index): ProxyDescription => {
    return { name: `bench-${index}`, namespace: "load-1", labels: {}, ipAddress: `10.250.0.${index + 1}` };
  });
  const snapshots = createSnapshotBuilder("cluster.local");
  const snapshot = () => snapshots.build({ objects: [...objects], findings: [] });

  const startedAt = process.cpuUsage();
  const translator = createTranslator(snapshot());
  for (const proxy of proxies.slice(0, 1)) translator.translate(proxy);
  const firstProxyMs = cpuMsSince(startedAt);

  const medianOf = (change: (round: number) => object) => {
    const tookMs: number[] = [];
    for (let round = 0; round < WARM_UP + ROUNDS; round++) {
      for (const changed of parsed(change(round))) objects[positionOf(objects, changed)] = changed;
      const changedAt = process.cpuUsage();
      translator.update(snapshot());
      for (const proxy of proxies) translator.translate(proxy);
      if (round >= WARM_UP) tookMs.push(cpuMsSince(changedAt));
    }
    return tookMs.sort((a, b) => a - b)[ROUNDS / 2] ?? Number.POSITIVE_INFINITY;
  };
  return {
    firstProxyMs,
    routeChangeMs: medianOf((round) => buildVirtualService(10, size.services, `canary-${round}`)),
    endpointChangeMs: medianOf((round) => {
      const added = `10.222.1.${round + 1}`;
      return buildEndpointSlice(3, [...endpointAddresses(3, size.endpoints), added]);
    }),
  };
}

function parsed(object: object): KnownObject[] {
  const { objects, findings } = parseObjects(object);
  if (findings.length > 0) throw new Error(findings.map(({ message }) => message).join("\n"));
  return objects;
}

function positionOf(objects: readonly KnownObject[], wanted: KnownObject): number {
  const at = objects.findIndex((object) => placeOf(object) === placeOf(wanted));
  if (at === -1) throw new Error(`the mesh has no ${placeOf(wanted)}`);
  return at;
}

/** Sources hold objects in this order. */
function placeOf({ kind, metadata: { namespace, name } }: KnownObject): string {
  return `${kind} ${namespace}/${name}`;
}

function cpuMsSince(start: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(start);
  return (user + system) / 1000;
}
