import { realpathSync, statSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { Command } from "commander";
import { mountPoint } from "../dev/container-layer.ts";
import { parseExposure } from "../dev/exposures.ts";
import type { DevOptions } from "../dev/options.ts";
import { runOuter } from "../dev/outer.ts";
import { assertCanIsolate, assertEnvoy } from "../dev/preflight.ts";
import { defaultStateDir, takeStateFolder } from "../dev/state-folder.ts";
import { TrysailError } from "../platform/errors.ts";
import { durationOption } from "./duration-flag.ts";

interface DevFlags {
  readonly once?: true;
  readonly stateDir?: string;
  readonly expose: readonly string[];
  readonly hostPorts: boolean;
  readonly readyTimeout: number;
  readonly workloadCertTtl?: string;
  readonly plaintextAddr?: string;
  readonly log?: string;
  readonly inside?: true;
}

/** `trysail dev`: a folder of manifests as a running mesh on this machine. */
export function devCommand(): Command {
  return new Command("dev")
    .description("run a folder of manifests as a mesh on this machine")
    .argument("<folder>", "Kubernetes and Istio manifests, and images.yaml: which local command stands for which image")
    .argument("[command...]", "with --once: what to run once every pod is ready (write it behind --)")
    .option("--once", "bring everything up, run the command, tear down, and exit with its code")
    .option("--state-dir <folder>", "keys, logs and what the runner makes (default: a folder of the user's own state)")
    .option(
      "--expose <service.namespace:port=hostport>",
      "a Service's port at a port of this machine; repeatable",
      collect,
      [],
    )
    .option("--no-host-ports", "open no ports on this machine but those of --expose (--once never does)")
    .addOption(durationOption("--ready-timeout <duration>", "with --once: how long pods may take", "2m"))
    .option("--workload-cert-ttl <duration>", "life of a workload's certificate")
    .option("--plaintext-addr <host:port>", "also serve ADS without TLS or identity, such as 127.0.0.1:15010")
    .option("--log <pod>", "show the logs of pods with this in their name")
    .option("--inside", "for trysail dev itself")
    .allowExcessArguments(false)
    .action(dev)
    .configureHelp({ visibleOptions: (command) => command.options.filter(({ long }) => long !== "--inside") });
}

const collect = (value: string, before: string[]) => [...before, value];

async function dev(folder: string, command: string[], flags: DevFlags): Promise<void> {
  if (flags.inside === true) process.exit(await runInside());
  const path = `${process.env.PATH ?? ""}:/usr/sbin:/sbin`;
  const isolation = assertCanIsolate(path);
  const options = parseOptions(folder, command, flags, isolation.ordinaryUser);
  assertEnvoy(options.envoy);
  const paths = await takeStateFolder(options.stateDir);
  process.exit(await runOuter(options, isolation, paths, path));
}

/** The half that does the work has much to load, which the other half need not wait for. */
async function runInside(): Promise<number> {
  const [{ runInner }, { createFileSource }, { systemClock: clock }, { createLog }] = await Promise.all([
    import("../dev/inner.ts"),
    import("../sources/file-source.ts"),
    import("../platform/clock.ts"),
    import("../platform/log.ts"),
  ]);
  const log = createLog("silent"); // what the source finds is shown anyway
  return await runInner((folder) => createFileSource({ dirs: [folder], clock, log }));
}

/** Throws `invalid-argument` naming what is wrong. */
function parseOptions(folder: string, command: string[], flags: DevFlags, ordinaryUser: boolean): DevOptions {
  const real = folderOf(folder);
  const once = flags.once === true;
  if (command.length > 0 && !once)
    throw new TrysailError("invalid-argument", "a command needs --once: without it, trysail dev stays up");
  const stateHome = process.env.XDG_STATE_HOME ?? join(homedir(), ".local", "state");
  const stateDir = resolve(flags.stateDir ?? defaultStateDir(real, stateHome));
  if (stateDir.startsWith("/run/"))
    throw new TrysailError("invalid-argument", `the state folder ${stateDir} may not lie below /run`);
  if (`${real}/`.startsWith(`${mountPoint(stateDir)}/`))
    throw new TrysailError(
      "invalid-argument",
      `${folder} may not lie in the state folder ${stateDir}: pods do not see it`,
    );
  const serveFlags = [
    // All that could have to hear of a new root is on this machine, and answers.
    ...["--root-propagation", "0s"],
    ...(flags.workloadCertTtl === undefined ? [] : ["--workload-cert-ttl", flags.workloadCertTtl]),
    ...(flags.plaintextAddr === undefined ? [] : ["--plaintext-addr", flags.plaintextAddr]),
  ];
  const plaintextPort = Number(flags.plaintextAddr?.split(":").at(-1));
  return {
    folder: real,
    stateDir,
    once,
    command,
    readyTimeoutMs: flags.readyTimeout,
    expose: flags.expose.map(parseExposure),
    hostPorts: flags.hostPorts && !once,
    serveFlags,
    ...(Number.isInteger(plaintextPort) ? { plaintextPort } : {}),
    ...(flags.log === undefined ? {} : { showLog: flags.log }),
    envoy: process.env.ENVOY ?? resolve(import.meta.dirname, "../../.cache/envoy/bin/envoy"),
    program: [process.execPath, realpathSync(process.argv[1] ?? "")],
    ordinaryUser,
  };
}

function folderOf(folder: string): string {
  try {
    const real = realpathSync(folder);
    if (!statSync(real).isDirectory()) throw new TrysailError("invalid-argument", `${folder} is not a folder`);
    if (real.startsWith("/run/"))
      throw new TrysailError("invalid-argument", `${folder} may not lie below /run: pods have a /run of their own`);
    return real;
  } catch (thrown) {
    if (thrown instanceof TrysailError) throw thrown;
    throw new TrysailError("invalid-argument", `there is no folder ${folder}`);
  }
}
