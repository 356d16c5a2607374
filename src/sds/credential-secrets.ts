import { create, toBinary } from "@bufbuild/protobuf";
import {
  type Secret as EnvoySecret,
  SecretSchema,
} from "../gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts";
import type { Secret } from "../mesh/kubernetes/core.ts";
import { ownValue } from "../mesh/own-value.ts";
import { type EncodedResource, encodedResource } from "../xds/resource-set.ts";

/**
 * A Kubernetes Secret as Envoy asks for it under Istio's names: `kubernetes://NAME` is the certificate with its key
 * (`tls.crt` and `tls.key`, or `cert` and `key`), `kubernetes://NAME-cacert` whom to trust (`ca.crt` or `cacert`), which
 * a Secret of its own may hold, called `NAME-cacert`. The bytes hold private keys: they go to proxies that are granted them.
 */
export function buildCredentialSecrets({ metadata, data = {} }: Secret): readonly EncodedResource[] {
  const value = (...keys: string[]) => keys.map((key) => ownValue(data, key)).find((text) => text !== undefined);
  const chain = value("tls.crt", "cert");
  const key = value("tls.key", "key");
  const roots = value("ca.crt", "cacert");
  const name = `kubernetes://${metadata.name}`;
  return [
    ...(chain === undefined || key === undefined
      ? []
      : [
          encode(
            create(SecretSchema, {
              name,
              type: { case: "tlsCertificate", value: { certificateChain: inline(chain), privateKey: inline(key) } },
            }),
          ),
        ]),
    ...(roots === undefined
      ? []
      : [
          encode(
            create(SecretSchema, {
              name: name.endsWith("-cacert") ? name : `${name}-cacert`,
              type: { case: "validationContext", value: { trustedCa: inline(roots) } },
            }),
          ),
        ]),
  ];
}

function inline(base64: string) {
  return { specifier: { case: "inlineBytes" as const, value: Buffer.from(base64, "base64") } };
}

function encode(secret: EnvoySecret): EncodedResource {
  return { ...encodedResource(secret.name, toBinary(SecretSchema, secret)), goesAlone: true };
}
