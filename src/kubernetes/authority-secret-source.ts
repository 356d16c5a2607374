import type { MaterialUse } from "../ca/authority/authority-material.ts";
import { type AuthoritySource, createAuthoritySource } from "../ca/authority/authority-source.ts";
import { TrysailError } from "../platform/errors.ts";
import type { KubernetesClient } from "./client.ts";
import { resourcePath } from "./resource-path.ts";
import { secretData } from "./secret-data.ts";

export interface SecretSourceDeps extends MaterialUse {
  readonly client: Pick<KubernetesClient, "get">;
  readonly namespace: string;
  readonly name: string;
}

/** What a Secret may lack. Programs in Go write it empty then: istiod does so where it has made the root itself. */
const MAY_BE_EMPTY = ["cert-chain.pem", "root-cert.pem", "ca.crt"];

/** Key and certificates in a Secret, such as Istio's `cacerts` and `istio-ca-secret`. */
export function createSecretSource({ client, namespace, name, ...use }: SecretSourceDeps): AuthoritySource {
  const where = `Secret ${namespace}/${name}`;
  /** One version of it, whole: its files were written together. */
  const readSecret = async () => {
    const secret = await client
      .get(resourcePath({ apiVersion: "v1", resource: "secrets", namespace, name }))
      .catch((error: unknown) => {
        if (error instanceof TrysailError && error.code === "not-found") return undefined;
        throw error;
      });
    const readFile = async (file: string) => {
      const bytes = secret === undefined ? undefined : secretData(secret, file);
      return bytes?.length === 0 && MAY_BE_EMPTY.includes(file) ? undefined : bytes;
    };
    return createAuthoritySource({ ...use, name: where, readFile });
  };
  return {
    name: where,
    read: async () => (await readSecret()).read(),
    readRevocationLists: async () => (await readSecret()).readRevocationLists(),
  };
}
