import { dirname } from "node:path";
import { create, type MessageInitShape, toBinary } from "@bufbuild/protobuf";
import { SecretSchema } from "../gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.ts";
import { certificateFiles, certificateFilesName, trustFiles, trustFilesName } from "../mesh/certificate-files.ts";
import type { Gateway } from "../mesh/istio/gateway.ts";
import { type EncodedResource, encodedResource } from "../xds/resource-set.ts";

/**
 * The files of a Gateway's servers as secrets that say where Envoy reads them. In the listener itself one that is missing
 * would have Envoy refuse all servers of the port; a secret that is refused is one server's.
 */
export function buildFileSecrets({ spec }: Gateway): readonly EncodedResource[] {
  return (spec.servers ?? []).flatMap(({ tls = {} }) => {
    const [own, trust] = [certificateFiles(tls), trustFiles(tls)];
    const secrets: EncodedResource[] = [];
    if (own !== null) {
      const value = {
        certificateChain: file(own.certificate),
        privateKey: file(own.key),
        // Whoever renews the files moves new ones in their place.
        watchedDirectory: { path: dirname(own.certificate) },
      };
      secrets.push(encode({ name: certificateFilesName(own), type: { case: "tlsCertificate", value } }));
    }
    if (trust !== null) {
      const value = {
        trustedCa: file(trust.roots),
        ...(trust.revocations === "" ? {} : { crl: file(trust.revocations) }),
        watchedDirectory: { path: dirname(trust.roots) },
      };
      secrets.push(encode({ name: trustFilesName(trust), type: { case: "validationContext", value } }));
    }
    return secrets;
  });
}

function file(filename: string) {
  return { specifier: { case: "filename" as const, value: filename } };
}

function encode(secret: MessageInitShape<typeof SecretSchema> & { readonly name: string }): EncodedResource {
  return { ...encodedResource(secret.name, toBinary(SecretSchema, create(SecretSchema, secret))), goesAlone: true };
}
