import type { TestControlPlane } from "./control-plane.ts";

interface Condition {
  readonly type: string;
  readonly status: string;
  readonly message: string;
}

interface Status {
  readonly object: { readonly kind: string; readonly name: string };
  readonly conditions: readonly Condition[];
}

/** What an object's status says of whether proxies took it; undefined where there is none yet. */
export async function programmed(mesh: TestControlPlane, kind: string, name: string): Promise<Condition | undefined> {
  const token = await mesh.issuer.issue({ namespace: "trysail-system", serviceAccount: "default", ttlMs: 60_000 });
  const response = await fetch(`http://127.0.0.1:${mesh.ports.http}/debug/status`, {
    headers: { authorization: `Bearer ${token}` },
  });
  const all = (await response.json()) as readonly Status[];
  const own = all.find(({ object }) => object.kind === kind && object.name === name);
  return own?.conditions.find(({ type }) => type === "Programmed");
}
