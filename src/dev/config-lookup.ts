import type { KnownObject } from "../mesh/kinds.ts";
import { TRUST_BUNDLE_KEY } from "../platform/trust-bundle.ts";
import type { ConfigLookup } from "./environment.ts";
import { isRootCertificateMap } from "./system-objects.ts";

/** ConfigMaps and Secrets by name; the mesh's root certificate is in every namespace. */
export function buildConfigLookup(
  objects: readonly KnownObject[],
  rootCertificate: () => Buffer | undefined,
): ConfigLookup {
  const configMaps = new Map<string, Map<string, Buffer>>();
  const secrets = new Map<string, Map<string, Buffer>>();
  for (const object of objects) {
    if (object.kind !== "ConfigMap" && object.kind !== "Secret") continue;
    const encoding = object.kind === "Secret" ? "base64" : "utf8";
    const data = new Map(Object.entries(object.data ?? {}).map(([key, value]) => [key, Buffer.from(value, encoding)]));
    if (object.kind === "ConfigMap" && "binaryData" in object && typeof object.binaryData === "object") {
      for (const [key, value] of Object.entries(object.binaryData ?? {}))
        data.set(key, Buffer.from(String(value), "base64"));
    }
    (object.kind === "Secret" ? secrets : configMaps).set(`${object.metadata.namespace}/${object.metadata.name}`, data);
  }
  return {
    configMap(namespace, name) {
      const root = isRootCertificateMap(name) ? rootCertificate() : undefined;
      if (root !== undefined) return new Map([[TRUST_BUNDLE_KEY, root]]);
      return configMaps.get(`${namespace}/${name}`);
    },
    secret: (namespace, name) => secrets.get(`${namespace}/${name}`),
  };
}
