import assert from "node:assert/strict";
import { test } from "node:test";
import { type JsonValue, toJson } from "@bufbuild/protobuf";
import { RouteMatchSchema } from "../../gen/envoy/config/route/v3/route_components_pb.ts";
import type { HttpMatch } from "../../mesh/istio/http-route.ts";
import { buildRouteMatch } from "./match.ts";

const any = { prefix: "/" };
const rows: [match: HttpMatch | null, expected: JsonValue][] = [
  [null, any],
  [{}, any],
  [{ uri: { exact: "/a" } }, { path: "/a" }],
  [{ uri: { prefix: "/a" } }, { prefix: "/a" }],
  [{ uri: { prefix: "" } }, { prefix: "" }],
  [{ uri: { regex: "/a.*" } }, { safeRegex: { regex: "/a.*" } }],
  [{ uri: {} }, any],
  [{ method: {} }, { ...any, headers: [{ name: ":method", presentMatch: true }] }],
  [
    { uri: { prefix: "/a" }, ignoreUriCase: true },
    { prefix: "/a", caseSensitive: false },
  ],
  [
    { method: { exact: "PUT" }, headers: { "x-b": { regex: "b" }, "x-a": { prefix: "a" } } },
    {
      ...any,
      headers: [
        { name: ":method", stringMatch: { exact: "PUT" } },
        { name: "x-a", stringMatch: { prefix: "a" } },
        { name: "x-b", stringMatch: { safeRegex: { regex: "b" } } },
      ],
    },
  ],
  [
    { method: { exact: "PUT" }, headers: { ":method": { prefix: "P" } } },
    {
      ...any,
      headers: [
        { name: ":method", stringMatch: { exact: "PUT" } },
        { name: ":method", stringMatch: { prefix: "P" } },
      ],
    },
  ],
  [
    { headers: { "x-a": {}, "x-b": { prefix: "" } } },
    {
      ...any,
      headers: [
        { name: "x-a", presentMatch: true },
        { name: "x-b", presentMatch: true },
      ],
    },
  ],
  [
    { withoutHeaders: { "x-a": { regex: "*" }, "x-b": { exact: "1" } } },
    {
      ...any,
      headers: [
        { name: "x-a", presentMatch: true, invertMatch: true },
        { name: "x-b", stringMatch: { exact: "1" }, invertMatch: true, treatMissingHeaderAsEmpty: true },
      ],
    },
  ],
  [
    { queryParams: { b: { exact: "1" }, a: {} } },
    {
      ...any,
      queryParameters: [
        { name: "a", presentMatch: true },
        { name: "b", stringMatch: { exact: "1" } },
      ],
    },
  ],
  [{ name: "x", port: 80, sourceLabels: { a: "b" }, sourceNamespace: "c", gateways: ["mesh"] }, any],
];

for (const [match, expected] of rows) {
  test(`${JSON.stringify(match)} in Envoy's terms`, () => {
    assert.deepEqual(toJson(RouteMatchSchema, buildRouteMatch(match)), expected);
  });
}
