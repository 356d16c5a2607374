import { entry } from "./annotation-entry.ts";
import * as value from "./annotation-values.ts";

/** What the proxy's container is and has. */
export const PROXY_ANNOTATIONS = {
  proxyImage: entry({
    name: "sidecar.istio.io/proxyImage",
    type: "image",
    parse: value.parseImage,
    effect: "the image of the sidecar; it must hold an Envoy",
  }),
  proxyImageType: entry({
    name: "sidecar.istio.io/proxyImageType",
    type: "word",
    parse: value.parseImageType,
    fallback: "`default`",
    effect: "the variant of the image, such as `distroless`: `envoy:v1` becomes `envoy:distroless-v1`",
  }),
  proxyCpu: entry({
    name: "sidecar.istio.io/proxyCPU",
    type: "amount",
    parse: value.parseAmount,
    effect: "the sidecar's CPU request; any of these four replaces all of the mesh's defaults",
  }),
  proxyCpuLimit: entry({
    name: "sidecar.istio.io/proxyCPULimit",
    type: "amount",
    parse: value.parseAmount,
    effect: "the sidecar's CPU limit",
  }),
  proxyMemory: entry({
    name: "sidecar.istio.io/proxyMemory",
    type: "amount",
    parse: value.parseAmount,
    effect: "the sidecar's memory request",
  }),
  proxyMemoryLimit: entry({
    name: "sidecar.istio.io/proxyMemoryLimit",
    type: "amount",
    parse: value.parseAmount,
    effect: "the sidecar's memory limit",
  }),
  logLevel: entry({
    name: "sidecar.istio.io/logLevel",
    type: "level",
    parse: value.parseLogLevel,
    fallback: "`warning`",
    effect: "Envoy's log level",
  }),
  componentLogLevel: entry({
    name: "sidecar.istio.io/componentLogLevel",
    type: "`COMPONENT:LEVEL,…`",
    parse: value.parseComponentLogLevel,
    fallback: "`misc:error`",
    effect: "Envoy's log level by component",
  }),
  agentLogLevel: entry({
    name: "sidecar.istio.io/agentLogLevel",
    type: "level",
    parse: value.parseAnything,
    effect: "none",
    without: "there is no agent whose log it could be",
  }),
  nativeSidecar: entry({
    name: "sidecar.istio.io/nativeSidecar",
    type: "true or false",
    parse: value.parseBoolean,
    fallback: "`true`",
    effect: "whether the sidecar is a native one (an init container that stays) or a container beside the app",
  }),
  discoveryAddress: entry({
    name: "sidecar.istio.io/discoveryAddress",
    type: "`HOST:PORT`",
    parse: value.parseHostAndPort,
    effect: "the control plane's address",
  }),
  userVolume: entry({
    name: "sidecar.istio.io/userVolume",
    type: '`{"NAME": {…}}`',
    parse: value.parseNamedObjects,
    effect: "further volumes of the pod",
  }),
  userVolumeMount: entry({
    name: "sidecar.istio.io/userVolumeMount",
    type: '`{"NAME": {"mountPath": …}}`',
    parse: value.parseNamedObjects,
    effect: "further volume mounts of the sidecar",
  }),
  bootstrapOverride: entry({
    name: "sidecar.istio.io/bootstrapOverride",
    type: "name",
    parse: value.parseObjectName,
    effect: "a ConfigMap whose `custom_bootstrap.json` is merged over Envoy's bootstrap",
  }),
  enableCoreDump: entry({
    name: "sidecar.istio.io/enableCoreDump",
    type: "true or false",
    parse: value.parseBoolean,
    effect: "none",
    without: "it would need a privileged container",
  }),
  controlPlaneAuthPolicy: entry({
    name: "sidecar.istio.io/controlPlaneAuthPolicy",
    type: "word",
    parse: value.parseAnything,
    effect: "none",
    without: "the control plane is always spoken to over TLS",
  }),
} as const;
