import { InvalidArgumentError, Option } from "commander";
import { isTrustDomain } from "../platform/trust-domain.ts";

/** `--trust-domain`; one that no certificate can name would stay in the mesh's root for ever. */
export function trustDomainOption(description: string): Option {
  return new Option("--trust-domain <name>", description).argParser(parseTrustDomainFlag).default("cluster.local");
}

function parseTrustDomainFlag(text: string): string {
  if (!isTrustDomain(text)) {
    throw new InvalidArgumentError("a trust domain has small letters, digits, dots, dashes and underscores alone.");
  }
  return text;
}
