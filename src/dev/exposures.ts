import type { Service } from "../mesh/kubernetes/core.ts";
import { TrysailError } from "../platform/errors.ts";
import type { DevOptions, Exposure } from "./options.ts";

/** On a Service: `9080`, or `PORT=HOSTPORT` pairs separated by commas, to reach it from this machine. */
export const HOST_PORT_ANNOTATION = "trysail.dev/host-port";

/** `SERVICE.NAMESPACE:PORT=HOSTPORT`. Throws `invalid-argument`. */
export function parseExposure(text: string): Exposure {
  const match = /^([a-z0-9-]+)\.([a-z0-9-]+):(\d+)=(\d+)$/.exec(text);
  const [, service = "", namespace = "", port, hostPort] = match ?? [];
  if (match === null || !isPort(Number(port)) || !isPort(Number(hostPort))) {
    throw new TrysailError(
      "invalid-argument",
      `--expose ${text} must look like SERVICE.NAMESPACE:PORT=HOSTPORT, such as page.shop:80=8081`,
    );
  }
  return { service, namespace, port: Number(port), hostPort: Number(hostPort) };
}

/** What the command line asks for, and, unless it wants no ports of this machine, what Services do. */
export function exposures(
  { expose, hostPorts }: Pick<DevOptions, "expose" | "hostPorts">,
  services: readonly { readonly service: Service }[],
): Exposure[] {
  return [...expose, ...(hostPorts ? services.flatMap(({ service }) => annotatedExposures(service)) : [])];
}

/** What a Service's annotation asks for; a part that makes no sense is left out. */
function annotatedExposures(service: Service): Exposure[] {
  const { name, namespace, annotations } = service.metadata;
  const text = annotations[HOST_PORT_ANNOTATION];
  const first = service.spec.ports?.[0]?.port;
  return (text ?? "").split(",").flatMap((part) => {
    const pair = part.trim().split("=");
    const port = pair.length === 2 ? Number(pair[0]) : first;
    const hostPort = Number(pair.at(-1));
    if (part.trim() === "" || port === undefined || !isPort(port) || !isPort(hostPort)) return [];
    return [{ service: name, namespace, port, hostPort }];
  });
}

function isPort(value: number): boolean {
  return Number.isInteger(value) && value >= 1 && value <= 65535;
}
