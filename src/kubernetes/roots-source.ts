import { readFile } from "node:fs/promises";
import type { FollowRootsDeps } from "../ca/bundle/follow-roots.ts";
import { isRecord } from "../mesh/conform.ts";
import { TrysailError } from "../platform/errors.ts";
import type { KubernetesClient } from "./client.ts";
import { resourcePath } from "./resource-path.ts";
import { secretData } from "./secret-data.ts";
import type { RootsConfig } from "./signer-config.ts";

/** Under what roots are kept: as Istio writes them, and as cert-manager and Kubernetes do. */
const KEYS = ["root-cert.pem", "ca.crt"];

/** Where an operator keeps the roots of an external signer. Reading needs `get` on the object. */
export function rootsSource(
  config: RootsConfig,
  { client, namespace }: { readonly client: Pick<KubernetesClient, "get">; readonly namespace: string },
): Pick<FollowRootsDeps, "name" | "read"> {
  if (config.kind === "file") return { name: config.path, read: () => readFile(config.path) };
  const { kind: resource, name } = config;
  return {
    name: `${resource}/${name} in ${namespace}`,
    async read() {
      const object = await client
        .get(resourcePath({ apiVersion: "v1", resource, namespace, name }))
        .catch((error: unknown) => {
          if (error instanceof TrysailError && error.code === "not-found") return undefined;
          throw error;
        });
      if (object === undefined) return undefined;
      for (const key of KEYS) {
        const text = isRecord(object.data) ? object.data[key] : undefined;
        if (typeof text === "string") return resource === "secrets" ? secretData(object, key) : Buffer.from(text);
      }
      throw new TrysailError("failed-precondition", `${resource}/${name} has neither ${KEYS.join(" nor ")}`);
    },
  };
}
