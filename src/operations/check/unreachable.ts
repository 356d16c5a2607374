import type { Outcome } from "./check.ts";

const CAUSES: readonly { readonly said: RegExp; readonly action: (name: string, namespace: string) => string }[] = [
  {
    said: /x509|certificate|tls:/i,
    action: (name) => `the API server does not trust who answers: see the certificates above, and the log of ${name}`,
  },
  {
    said: /no endpoints|connection refused|not found/i,
    action: (name, namespace) =>
      `nobody answers: kubectl -n ${namespace} get pods,endpointslices, and the log of ${name}`,
  },
  {
    said: /deadline|timeout|timed out|no route/i,
    action: (_, namespace) =>
      `the API server cannot reach port 15017 in ${namespace}: look for a firewall between it and the nodes, or a NetworkPolicy`,
  },
];

/** How the API server names whom it asked: `https://SERVICE.NAMESPACE.svc:PORT/…`. */
const ASKED = /https:\/\/([-a-z0-9]+)\.([-a-z0-9]+)\.svc[:/]/;

/** A webhook that the API server failed to ask, by what it says. Other refusals are told as they are. */
export function unreachable(
  what: string,
  said: string,
  { name, systemNamespace }: { readonly name: string; readonly systemNamespace: string },
): Outcome {
  if (!said.includes("failed calling webhook")) {
    const action = "this is no answer of the mesh's: mend what refuses it, or read the message for what it means";
    return { status: "warn", message: `${what} could not be tried: ${said}`, action };
  }
  // Every webhook is asked that selects the object: it may be another revision's that does not answer.
  const [, asked = name, place = systemNamespace] = ASKED.exec(said) ?? [];
  const cause = CAUSES.find((known) => known.said.test(said));
  const action = cause?.action(asked, place) ?? `see the log of ${asked} in ${place}`;
  return { status: "fail", message: `the API server cannot ask ${what}: ${said}`, action };
}
