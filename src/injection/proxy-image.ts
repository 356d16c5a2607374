/** Envoy publishes its variants as tags: `envoy:v1.40.0` and `envoy:distroless-v1.40.0`. */
export function proxyImage({ image, type }: { readonly image: string; readonly type: string }): string {
  if (type === "" || type === "default") return image;
  // A digest names one image and leaves nothing to choose.
  const [, name, tag] = /^([^@]*?):([^:/@]+)$/.exec(image) ?? [];
  if (name === undefined || tag === undefined || tag.startsWith(`${type}-`)) return image;
  return `${name}:${type}-${tag}`;
}

/** Distroless images have none; for others the name says nothing against it. */
export function hasShell(image: string): boolean {
  return !image.includes("distroless");
}
