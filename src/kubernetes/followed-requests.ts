import type { Clock } from "../platform/clock.ts";
import type { Logger } from "../platform/log.ts";
import type { Random } from "../platform/random.ts";
import { type CertificateSigningRequest, parseCertificateSigningRequest, requestPath } from "./certificate-request.ts";
import type { KubernetesClient } from "./client.ts";
import type { KubernetesObject } from "./object.ts";
import { startReflector } from "./reflector.ts";

export interface FollowedRequestsDeps {
  readonly client: Pick<KubernetesClient, "list" | "watch">;
  readonly clock: Clock;
  readonly random: Pick<Random, "fraction">;
  readonly log: Logger;
  /** Requests of other names are not even read. */
  readonly signerName: string;
  /** One as it stands now: it was there, came, or changed. */
  onRequest(request: CertificateSigningRequest): void;
  /** One by its name that is there no more; also of such as were gone before this began. */
  onGone(name: string): void;
}

/** Follows the CertificateSigningRequests of one signerName. Returns the stop. */
export function followRequests(deps: FollowedRequestsDeps): () => void {
  const { log, signerName } = deps;
  const known = new Set<string>();

  const see = (object: KubernetesObject): void => {
    const request = parseCertificateSigningRequest(object);
    if (request === undefined) return;
    known.add(request.metadata.name);
    deps.onRequest(request);
  };
  const lose = (name: string): void => {
    known.delete(name);
    deps.onGone(name);
  };

  return startReflector({
    ...deps,
    path: requestPath(),
    query: { fieldSelector: `spec.signerName=${signerName}` },
    sink: {
      beginList() {
        const listed: KubernetesObject[] = [];
        return {
          add: (items) => listed.push(...items),
          end() {
            const names = new Set(listed.map(({ metadata }) => metadata.name));
            for (const name of [...known]) if (!names.has(name)) lose(name);
            for (const object of listed) see(object);
          },
        };
      },
      apply({ type, object }) {
        if (type === "DELETED") lose(object.metadata.name ?? "");
        else see(object);
      },
      stateChanged(state) {
        if ("error" in state) {
          log.warn({ signerName, reason: state.error.message }, "CertificateSigningRequests cannot be followed");
        }
      },
    },
  });
}
