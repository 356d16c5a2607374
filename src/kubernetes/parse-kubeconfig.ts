import { dirname, resolve } from "node:path";
import { type Static, Type } from "typebox";
import { Compile } from "typebox/compile";
import { parse as parseYaml } from "yaml";
import { TrysailError } from "../platform/errors.ts";

const Text = Type.Optional(Type.String());

/** https://kubernetes.io/docs/reference/config-api/kubeconfig.v1/ */
const KubeconfigSchema = Type.Object({
  "current-context": Text,
  clusters: Type.Optional(
    Type.Array(
      Type.Object({
        name: Type.String(),
        cluster: Type.Object({
          server: Type.String(),
          "certificate-authority": Text,
          "certificate-authority-data": Text,
          "insecure-skip-tls-verify": Type.Optional(Type.Boolean()),
          "tls-server-name": Text,
          "proxy-url": Text,
        }),
      }),
    ),
  ),
  users: Type.Optional(
    Type.Array(
      Type.Object({
        name: Type.String(),
        user: Type.Object({
          "client-certificate": Text,
          "client-certificate-data": Text,
          "client-key": Text,
          "client-key-data": Text,
          token: Text,
          tokenFile: Text,
          username: Text,
          password: Text,
          exec: Type.Optional(Type.Unknown()),
          "auth-provider": Type.Optional(Type.Unknown()),
          as: Text,
        }),
      }),
    ),
  ),
  contexts: Type.Optional(
    Type.Array(
      Type.Object({ name: Type.String(), context: Type.Object({ cluster: Type.String(), user: Type.String() }) }),
    ),
  ),
});
const validator = Compile(KubeconfigSchema);

/** What a file says itself, or where it is. */
export type Content = { readonly data: Buffer } | { readonly path: string };

/** The current context of a kubeconfig. */
export interface Kubeconfig {
  readonly server: string;
  readonly serverName: string | undefined;
  readonly root: Content | undefined;
  readonly certificate: Content | undefined;
  readonly key: Content | undefined;
  readonly token: Content | undefined;
  /**
   * Whether getting through needs another program, another party, a proxy or another user's name: what client-node
   * can do, and a file alone cannot.
   */
  readonly needsPlugin: boolean;
}

/**
 * Throws TrysailError `invalid-argument` where it names no API server that can be verified. `path` is where the text
 * was read from; the paths in it are relative to that. No message quotes the text, which holds secrets.
 */
export function parseKubeconfig(text: string, path: string): Kubeconfig {
  const refuse = (reason: string) => new TrysailError("invalid-argument", `${path} ${reason}`);
  const config = parse(text);
  if (config === undefined) throw refuse("is not a kubeconfig: it is not YAML with clusters, users and contexts");
  const { context } = config.contexts?.find(({ name }) => name === config["current-context"]) ?? {};
  const { cluster } = config.clusters?.find(({ name }) => name === context?.cluster) ?? {};
  const { user } = config.users?.find(({ name }) => name === context?.user) ?? {};
  if (context === undefined || cluster === undefined || user === undefined) {
    throw refuse("has no current-context that names one of its clusters and users");
  }
  const isSecure = URL.canParse(cluster.server) && new URL(cluster.server).protocol === "https:";
  if (!isSecure || cluster["insecure-skip-tls-verify"] === true) {
    const wanted = "an https:// address without insecure-skip-tls-verify";
    throw refuse(`is no way to trust: cluster ${context.cluster} must be ${wanted}, for it decides about the mesh`);
  }
  const content = (data: string | undefined, file: string | undefined): Content | undefined => {
    if (data !== undefined && data !== "") return { data: Buffer.from(data, "base64") };
    return file === undefined || file === "" ? undefined : { path: resolve(dirname(path), file) };
  };
  const ownToken = user.token === undefined || user.token === "" ? undefined : { data: Buffer.from(user.token) };
  const others = [user.exec, user["auth-provider"], user.as, user.username, cluster["proxy-url"]];
  return {
    server: cluster.server.replace(/\/+$/, ""),
    serverName: cluster["tls-server-name"],
    root: content(cluster["certificate-authority-data"], cluster["certificate-authority"]),
    certificate: content(user["client-certificate-data"], user["client-certificate"]),
    key: content(user["client-key-data"], user["client-key"]),
    // As kubectl: the token that is written here counts more than a file's.
    token: ownToken ?? content(undefined, user.tokenFile),
    needsPlugin: others.some((value) => value !== undefined),
  };
}

function parse(text: string): Static<typeof KubeconfigSchema> | undefined {
  try {
    const value: unknown = parseYaml(text, { maxAliasCount: 0 });
    return validator.Check(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
