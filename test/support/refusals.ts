import type { TestControlPlane } from "./control-plane.ts";

/** How many requests for certificates were refused, by reason. */
export async function refusals({ ports }: TestControlPlane): Promise<Map<string, number>> {
  const text = await (await fetch(`http://127.0.0.1:${ports.monitoring}/metrics`)).text();
  const lines = text.matchAll(/^trysail_ca_refusals_total\{reason="([^"]+)"\} ([0-9]+)$/gm);
  return new Map([...lines].map(([, reason = "", count]) => [reason, Number(count)]));
}
