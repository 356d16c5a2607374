import { isDnsLabel } from "./dns-label.ts";
import { error, type Problem } from "./problem.ts";

/** A gateway is `mesh`, its name, `NAMESPACE/NAME`, `./NAME`, or its name as that of a host, as it was written long ago. */
export function checkGatewayNames(gateways: readonly string[] | undefined, path: string): Problem[] {
  return (gateways ?? []).flatMap((gateway, index) =>
    isGatewayName(gateway)
      ? []
      : [error(`${path}[${index}]`, `must be mesh, NAME or NAMESPACE/NAME, but is ${JSON.stringify(gateway)}`)],
  );
}

function isGatewayName(text: string): boolean {
  const [name = "", namespace, ...rest] = text.split("/").reverse();
  if (rest.length > 0 || name.length > 253) return false;
  if (namespace !== undefined && namespace !== "." && !isDnsLabel(namespace)) return false;
  return name.split(".").every((part) => /^[A-Za-z0-9]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?$/.test(part));
}
