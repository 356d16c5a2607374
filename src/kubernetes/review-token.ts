import { type Static, Type } from "typebox";
import { Compile } from "typebox/compile";
import { TrysailError } from "../platform/errors.ts";
import type { KubernetesClient } from "./client.ts";
import { resourcePath } from "./resource-path.ts";

const Status = Type.Object({
  authenticated: Type.Optional(Type.Boolean()),
  error: Type.Optional(Type.String()),
  audiences: Type.Optional(Type.Array(Type.String())),
  user: Type.Optional(
    Type.Object({
      username: Type.Optional(Type.String()),
      extra: Type.Optional(Type.Record(Type.String(), Type.Array(Type.String()))),
    }),
  ),
});
const validator = Compile(Status);

/** Asks the API server whose token it is (TokenReview, authentication.k8s.io/v1). Needs `create` on `tokenreviews`. */
export async function reviewToken(
  client: Pick<KubernetesClient, "create">,
  token: string,
  audiences: readonly string[],
): Promise<Static<typeof Status>> {
  const apiVersion = "authentication.k8s.io/v1";
  const review = { apiVersion, kind: "TokenReview", spec: { token, audiences } };
  const { status } = await client.create(resourcePath({ apiVersion, resource: "tokenreviews" }), review);
  if (!validator.Check(status)) throw new TrysailError("unavailable", "the answer to a TokenReview has no status");
  return status;
}
