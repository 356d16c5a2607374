import assert from "node:assert/strict";
import { test } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import { Client, credentials, Server, ServerCredentials, type ServiceDefinition } from "@grpc/grpc-js";
import { Cluster_DiscoveryType, ClusterSchema } from "../../src/gen/envoy/config/cluster/v3/cluster_pb.ts";
import { ApiVersion, ConfigSourceSchema } from "../../src/gen/envoy/config/core/v3/config_source_pb.ts";
import { ClusterLoadAssignmentSchema } from "../../src/gen/envoy/config/endpoint/v3/endpoint_pb.ts";
import { ListenerSchema } from "../../src/gen/envoy/config/listener/v3/listener_pb.ts";
import { RouteConfigurationSchema } from "../../src/gen/envoy/config/route/v3/route_pb.ts";
import { RouterSchema } from "../../src/gen/envoy/extensions/filters/http/router/v3/router_pb.ts";
import { HttpConnectionManagerSchema } from "../../src/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.ts";
import { unaryOfBytes } from "../../src/platform/grpc-methods.ts";
import { encodedResource, type ProxyResources, ResourceSet, TYPE_URL } from "../../src/xds/resource-set.ts";
import { startTestAds } from "../support/ads-server.ts";
import { until } from "../support/until.ts";
import { NODE } from "../support/xds-client.ts";

const ADS = create(ConfigSourceSchema, {
  configSourceSpecifier: { case: "ads", value: {} },
  resourceApiVersion: ApiVersion.V3,
});

/** What a proxyless gRPC client needs to call `echo`, at `port`, by way of `cluster`. */
function proxylessMesh(cluster: string, port: number): ProxyResources {
  const manager = create(HttpConnectionManagerSchema, {
    routeSpecifier: { case: "rds", value: { routeConfigName: "echo-routes", configSource: ADS } },
    httpFilters: [
      { name: "router", configType: { case: "typedConfig", value: anyPack(RouterSchema, create(RouterSchema)) } },
    ],
  });
  const listener = create(ListenerSchema, {
    name: "echo",
    apiListener: { apiListener: anyPack(HttpConnectionManagerSchema, manager) },
  });
  const route = {
    match: { pathSpecifier: { case: "prefix" as const, value: "" } },
    action: { case: "route" as const, value: { clusterSpecifier: { case: "cluster" as const, value: cluster } } },
  };
  const routes = create(RouteConfigurationSchema, {
    name: "echo-routes",
    virtualHosts: [{ name: "echo", domains: ["echo"], routes: [route] }],
  });
  const cds = create(ClusterSchema, {
    name: cluster,
    clusterDiscoveryType: { case: "type", value: Cluster_DiscoveryType.EDS },
    edsClusterConfig: { edsConfig: ADS, serviceName: cluster },
  });
  const socket = { address: "127.0.0.1", portSpecifier: { case: "portValue" as const, value: port } };
  const address = { address: { case: "socketAddress" as const, value: socket } };
  const eds = create(ClusterLoadAssignmentSchema, {
    clusterName: cluster,
    endpoints: [
      {
        locality: { region: "r" },
        loadBalancingWeight: 1,
        lbEndpoints: [{ hostIdentifier: { case: "endpoint", value: { address } } }],
      },
    ],
  });
  const sets = [
    new ResourceSet(TYPE_URL.listener, [encodedResource("echo", toBinary(ListenerSchema, listener))]),
    new ResourceSet(TYPE_URL.route, [encodedResource("echo-routes", toBinary(RouteConfigurationSchema, routes))]),
    new ResourceSet(TYPE_URL.cluster, [encodedResource(cluster, toBinary(ClusterSchema, cds))]),
    new ResourceSet(TYPE_URL.endpoint, [encodedResource(cluster, toBinary(ClusterLoadAssignmentSchema, eds))]),
  ];
  return new Map(sets.map((set) => [set.typeUrl, set]));
}

const asIs = (bytes: Buffer): Buffer => bytes;
const PATH = "/echo.Echo/Call";
const ECHO: ServiceDefinition = {
  call: unaryOfBytes(PATH),
};

async function startEcho(name: string): Promise<{ server: Server; port: number }> {
  const server = new Server();
  server.addService(ECHO, {
    call: (_: unknown, reply: (error: null, value: Buffer) => void) => reply(null, Buffer.from(name)),
  });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync("127.0.0.1:0", ServerCredentials.createInsecure(), (error, bound) => {
      if (error) reject(error);
      else resolve(bound);
    });
  });
  return { server, port };
}

test("gRPC's own xDS client finds its way, and follows a change to a new cluster without a failed call", async (t) => {
  const [one, two] = [await startEcho("one"), await startEcho("two")];
  t.after(() => {
    one.server.forceShutdown();
    two.server.forceShutdown();
  });
  const ads = await startTestAds(t, proxylessMesh("cluster-one", one.port));
  const servers = [{ server_uri: `127.0.0.1:${ads.plaintextPort}`, channel_creds: [{ type: "insecure" }] }];
  process.env.GRPC_XDS_BOOTSTRAP_CONFIG = JSON.stringify({ xds_servers: servers, node: { ...NODE, locality: {} } });
  const { register } = await import("@grpc/grpc-js-xds");
  register();
  const client = new Client("xds:///echo", credentials.createInsecure());
  t.after(() => client.close());
  const call = () =>
    new Promise<string>((resolve, reject) => {
      client.makeUnaryRequest(PATH, asIs, asIs, Buffer.alloc(0), { deadline: Date.now() + 60_000 }, (error, value) => {
        if (error) reject(error);
        else resolve(String(value));
      });
    });

  assert.equal(await call(), "one");
  const rejections = () => ads.answers.filter((answer) => answer.startsWith("rejected"));
  await until("all to be accepted", () => new Set(ads.answers).size === 4);
  assert.deepEqual(rejections(), []);

  ads.source.set(proxylessMesh("cluster-two", two.port));
  let answer = await call();
  while (answer !== "two") answer = await call();
  assert.equal(await call(), "two");
  assert.deepEqual(rejections(), []);
});
