import { join } from "node:path";
import { TrysailError } from "../platform/errors.ts";
import type { ContainerPlan, Mount } from "./container-plan.ts";
import { buildEnvironment, type ConfigLookup, expand } from "./environment.ts";
import { findImage, type LocalImage, unmappedImage } from "./images.ts";
import type { Container } from "./pod.ts";
import type { ContainerStart } from "./pod-runner.ts";
import { privileges } from "./privileges.ts";
import type { RunningPod } from "./running-pod.ts";

export interface PlanContext {
  readonly lookup: ConfigLookup;
  /** The user's own images first, so that they may replace built-in ones. */
  readonly images: readonly ReadonlyMap<string, LocalImage>[];
  /** Where images.yaml is, for the error about an image that is in none. */
  readonly folder: string;
  readonly domain: string;
  readonly visible: readonly string[];
  readonly masked: readonly string[];
  readonly layerPerFolder: boolean;
  readonly logsFolder: string;
  readonly podsFolder: string;
  /** Folders that end every container's PATH. */
  readonly path: readonly string[];
}

/** A container's start as a kubelet and a container runtime would work it out together. Throws `TrysailError`. */
export function buildContainerPlan(start: ContainerStart, context: PlanContext): ContainerPlan {
  const { pod, container } = start;
  const image = findImage(container.image, ...context.images);
  if (image === undefined)
    throw new TrysailError("not-found", unmappedImage(container.image, container.name, context.folder));
  const base = {
    PATH: [...image.path, ...context.path].join(":"),
    HOME: "/root",
    HOSTNAME: pod.manifest.spec.hostname ?? pod.name,
  };
  const env = buildEnvironment(pod, container, { ...base, ...image.env }, context.lookup);
  const words = (list: readonly string[]) => list.map((word) => expand(word, env));
  const command = container.command === undefined ? image.entrypoint : words(container.command);
  const args =
    container.args === undefined ? (container.command === undefined ? image.args : []) : words(container.args);
  return {
    argv: [...command, ...args],
    env,
    workingDir: container.workingDir ?? image.workingDir ?? "/",
    hostname: pod.manifest.spec.hostname ?? pod.name,
    netns: start.netns,
    mounts: [
      ...image.sharedFolders.map((folder) => ({ source: folder, target: folder, readOnly: false })),
      ...mountsOf(container, start.volumes),
    ],
    files: new Map([
      ["/etc/hosts", hostsFile(pod, context.domain)],
      ["/etc/resolv.conf", resolverFile(pod, context.domain)],
      ["/etc/hostname", `${pod.manifest.spec.hostname ?? pod.name}\n`],
    ]),
    sharedMemory: join(context.podsFolder, pod.uid, "shm"),
    visible: context.visible,
    masked: context.masked,
    layerPerFolder: context.layerPerFolder,
    readOnlyRoot: container.securityContext?.readOnlyRootFilesystem === true,
    privileges: privileges(pod.manifest.spec, container),
    folder: start.folder,
    logFile: logFileOf(context.logsFolder, pod.namespace, pod.name, container.name),
  };
}

export function logFileOf(logsFolder: string, namespace: string, pod: string, container: string): string {
  return join(logsFolder, `${namespace}_${pod}_${container}.log`);
}

function mountsOf(container: Container, volumes: ReadonlyMap<string, string>): Mount[] {
  // A mount below another one must come after it.
  const wanted = [...(container.volumeMounts ?? [])].sort((a, b) => a.mountPath.length - b.mountPath.length);
  return wanted.map((mount) => {
    const volume = volumes.get(mount.name);
    if (volume === undefined) {
      throw new TrysailError(
        "invalid-argument",
        `container ${container.name}: volumeMount ${mount.name} names no volume of the pod`,
      );
    }
    const subPath = mount.subPath ?? "";
    if (subPath.startsWith("/") || subPath.split("/").includes("..")) {
      throw new TrysailError("invalid-argument", `container ${container.name}: subPath ${subPath} leaves its volume`);
    }
    return { source: join(volume, subPath), target: mount.mountPath, readOnly: mount.readOnly === true };
  });
}

function hostsFile(pod: RunningPod, domain: string): string {
  const { hostname, subdomain, hostAliases } = pod.manifest.spec;
  const own = hostname ?? pod.name;
  const qualified = subdomain === undefined ? "" : ` ${own}.${subdomain}.${pod.namespace}.svc.${domain}`;
  const lines = ["127.0.0.1\tlocalhost", "::1\tlocalhost ip6-localhost ip6-loopback", `${pod.ip}\t${own}${qualified}`];
  for (const { ip, hostnames } of hostAliases ?? []) lines.push(`${ip}\t${(hostnames ?? []).join(" ")}`);
  return `${lines.join("\n")}\n`;
}

function resolverFile(pod: RunningPod, domain: string): string {
  const search = `${pod.namespace}.svc.${domain} svc.${domain} ${domain}`;
  return `nameserver ${pod.node.ip}\nsearch ${search}\noptions ndots:5\n`;
}
