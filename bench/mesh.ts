import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";

/**
 * A made-up mesh to measure with: `services` services in 20 namespaces, `endpoints` endpoints each, and a
 * VirtualService on every tenth.
 */
export interface MeshSize {
  readonly services: number;
  readonly endpoints: number;
}

/** An object as a manifest has it. */
export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string; readonly labels?: Record<string, string> };
  readonly [field: string]: unknown;
}

const NAMESPACES = 20;
export const namespaceOf = (index: number) => `load-${index % NAMESPACES}`;
const hostOf = (index: number) => `svc-${index}.${namespaceOf(index)}.svc.cluster.local`;

export function buildService(index: number): Manifest {
  const name = `svc-${index}`;
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name, namespace: namespaceOf(index) },
    spec: {
      selector: { app: name },
      clusterIP: `10.96.${Math.floor(index / 250)}.${(index % 250) + 2}`,
      ports: [
        { name: "http", port: 80, targetPort: 8080 },
        { name: "tcp-db", port: 9000 + (index % 7), targetPort: 9000 },
      ],
    },
  };
}

export function endpointAddresses(index: number, count: number): string[] {
  const prefix = `10.${100 + Math.floor(index / 250)}.${index % 250}`;
  return Array.from({ length: count }, (_, host) => `${prefix}.${host + 1}`);
}

export function buildEndpointSlice(index: number, addresses: readonly string[]): Manifest {
  const name = `svc-${index}`;
  return {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    addressType: "IPv4",
    metadata: {
      name: `${name}-a`,
      namespace: namespaceOf(index),
      labels: { "kubernetes.io/service-name": name },
    },
    endpoints: addresses.map((address) => ({ addresses: [address], conditions: { ready: true } })),
    ports: [
      { name: "http", port: 8080 },
      { name: "tcp-db", port: 9000 },
    ],
  };
}

/** `canary` is the header value that its first route matches: a new one can be told apart in what proxies are sent. */
export function buildVirtualService(index: number, services: number, canary: string): Manifest {
  const host = hostOf(index);
  const next = hostOf((index + 1) % services);
  return {
    apiVersion: "networking.istio.io/v1",
    kind: "VirtualService",
    metadata: { name: `svc-${index}`, namespace: namespaceOf(index) },
    spec: {
      hosts: [host],
      http: [
        { match: [{ headers: { "x-canary": { exact: canary } } }], route: [{ destination: { host } }], timeout: "3s" },
        {
          route: [
            { destination: { host }, weight: 90 },
            { destination: { host: next }, weight: 10 },
          ],
          retries: { attempts: 2 },
        },
      ],
    },
  };
}

export const endpointsFile = (index: number) => join(namespaceOf(index), `svc-${index}.endpoints.json`);
export const routesFile = (index: number) => join(namespaceOf(index), `svc-${index}.routes.json`);

/** Every object of the mesh, and the file that a repository would have it in. */
export function buildMesh({ services, endpoints }: MeshSize): { readonly path: string; readonly object: Manifest }[] {
  const namespaces = Array.from({ length: Math.min(NAMESPACES, services) }, (_, index) => {
    const name = namespaceOf(index);
    return {
      path: join(name, "namespace.json"),
      object: { apiVersion: "v1", kind: "Namespace", metadata: { name } },
    };
  });
  const perService = Array.from({ length: services }, (_, index) => [
    { path: join(namespaceOf(index), `svc-${index}.service.json`), object: buildService(index) },
    { path: endpointsFile(index), object: buildEndpointSlice(index, endpointAddresses(index, endpoints)) },
    ...(index % 10 === 0 ? [{ path: routesFile(index), object: buildVirtualService(index, services, "1") }] : []),
  ]);
  return [...namespaces, ...perService.flat()];
}

/** Writes the mesh the way a repository holds one: a folder per namespace, a file per object. */
export async function writeMesh(folder: string, size: MeshSize): Promise<void> {
  for (const { path, object } of buildMesh(size)) {
    await mkdir(join(folder, dirname(path)), { recursive: true });
    await writeFile(join(folder, path), JSON.stringify(object));
  }
}
