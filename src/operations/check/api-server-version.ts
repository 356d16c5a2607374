import type { Check } from "./check.ts";

const OLDEST_MINOR = 28;
const NATIVE_SIDECARS_MINOR = 29;

/** https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/: native sidecars are on by default since 1.29. */
export const apiServerVersion: Check = {
  name: "version",
  when: "always",
  async run({ client }) {
    const { gitVersion, major, minor } = await client.getDocument("/version");
    const found = `Kubernetes ${String(gitVersion)}`;
    // Some providers write `28+`.
    const [majorNumber, minorNumber] = [major, minor].map((part) => Number.parseInt(String(part), 10));
    if (majorNumber === undefined || minorNumber === undefined || Number.isNaN(majorNumber + minorNumber)) {
      return [
        { status: "warn", message: `${found} says no version`, action: "Trysail needs Kubernetes 1.28 or newer" },
      ];
    }
    const isAtLeast = (wanted: number) => majorNumber > 1 || minorNumber >= wanted;
    if (!isAtLeast(OLDEST_MINOR)) {
      return [{ status: "fail", message: `${found} is too old`, action: "upgrade it to 1.28 or newer" }];
    }
    if (!isAtLeast(NATIVE_SIDECARS_MINOR)) {
      const action = "sidecars are containers beside the app, with which no Job ends: upgrade it to 1.29 or newer";
      return [{ status: "warn", message: `${found} has no native sidecars`, action }];
    }
    return [{ status: "pass", message: found }];
  },
};
