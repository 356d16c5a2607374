import { create } from "@bufbuild/protobuf";
import {
  type HeaderValueOption,
  HeaderValueOption_HeaderAppendAction,
  HeaderValueOptionSchema,
} from "../../gen/envoy/config/core/v3/base_pb.ts";
import type { HeaderOperations, HttpRouteDestination } from "../../mesh/istio/http-route.ts";
import { compareText } from "../../mesh/object.ts";

/** The route's own operations, and those of its only destination, which then needs no weighted cluster to hold them. */
export function headerMutations(
  request: HeaderOperations | undefined,
  response: HeaderOperations | undefined,
  destination: HttpRouteDestination["headers"],
) {
  return {
    requestHeadersToAdd: [...additions(request), ...additions(destination?.request)],
    requestHeadersToRemove: [...removals(request), ...removals(destination?.request)],
    responseHeadersToAdd: [...additions(response), ...additions(destination?.response)],
    responseHeadersToRemove: [...removals(response), ...removals(destination?.response)],
  };
}

/**
 * As Istio has it, whoever sets or adds the header `:authority` or `host` means a rewrite of it; what is set counts before
 * what is added, and the last of several.
 */
export function authorityOf(headers: HttpRouteDestination["headers"]): string | undefined {
  const { set = {}, add = {} } = headers?.request ?? {};
  return [...Object.entries(add), ...Object.entries(set)].findLast(([name]) => isAuthority(name))?.[1];
}

function additions(operations: HeaderOperations | undefined): HeaderValueOption[] {
  const { OVERWRITE_IF_EXISTS_OR_ADD, APPEND_IF_EXISTS_OR_ADD } = HeaderValueOption_HeaderAppendAction;
  const option =
    (appendAction: HeaderValueOption_HeaderAppendAction) =>
    ([key, value]: [string, string]) =>
      create(HeaderValueOptionSchema, { header: { key, value }, appendAction });
  const inOrder = (headers: Record<string, string> = {}) =>
    Object.entries(headers)
      .filter(([name]) => !isReserved(name))
      .sort(([a], [b]) => compareText(a, b));
  return [
    ...inOrder(operations?.set).map(option(OVERWRITE_IF_EXISTS_OR_ADD)),
    ...inOrder(operations?.add).map(option(APPEND_IF_EXISTS_OR_ADD)),
  ];
}

function removals(operations: HeaderOperations | undefined): string[] {
  return (operations?.remove ?? []).filter((name) => !isReserved(name));
}

function isAuthority(name: string): boolean {
  return [":authority", "host"].includes(name.toLowerCase());
}

/** Envoy refuses a whole route table over an operation on one of these headers; Istio leaves such operations out. */
function isReserved(name: string): boolean {
  return name.startsWith(":") || isAuthority(name);
}
