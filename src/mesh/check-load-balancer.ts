import { append } from "../platform/append.ts";
import { isHeaderName } from "./check-header-operations.ts";
import type { ConsistentHash, LoadBalancerSettings, LocalityLbSetting } from "./istio/load-balancer.ts";
import { error, type Problem, warning } from "./problem.ts";

/** What is wrong with a DestinationRule's way to choose endpoints. `detectsOutliers`: the same policy says how. */
export function checkLoadBalancer(settings: LoadBalancerSettings, detectsOutliers: boolean, path: string): Problem[] {
  const { simple, consistentHash, localityLbSetting, warmup, warmupDurationSecs } = settings;
  const problems: Problem[] = [];
  if (simple !== undefined && consistentHash !== undefined) {
    problems.push(error(path, "has both simple and consistentHash: keep one of them"));
  }
  if (consistentHash !== undefined) append(problems, checkConsistentHash(consistentHash, `${path}.consistentHash`));
  if (localityLbSetting !== undefined) {
    append(problems, checkLocality(localityLbSetting, detectsOutliers, `${path}.localityLbSetting`));
  }
  const warms = simple === undefined || ["UNSPECIFIED", "LEAST_CONN", "LEAST_REQUEST", "ROUND_ROBIN"].includes(simple);
  if ((warmup ?? warmupDurationSecs) !== undefined && (!warms || consistentHash !== undefined)) {
    problems.push(warning(path, "has a warmup, which only LEAST_REQUEST and ROUND_ROBIN know: it has no effect"));
  }
  return problems;
}

function checkConsistentHash(hash: ConsistentHash, path: string): Problem[] {
  const { httpHeaderName, httpCookie, useSourceIp, httpQueryParameterName, ringHash, maglev } = hash;
  const problems: Problem[] = [];
  const keys = [httpHeaderName, httpCookie, useSourceIp === true || undefined, httpQueryParameterName];
  if (keys.filter((key) => key !== undefined).length !== 1) {
    const reason = "must have one key: httpHeaderName, httpCookie, useSourceIp: true or httpQueryParameterName";
    problems.push(error(path, reason));
  }
  if (httpHeaderName !== undefined && !isHeaderName(httpHeaderName.replace(/^:/, ""))) {
    problems.push(error(`${path}.httpHeaderName`, "is not a header's name"));
  }
  const cookieTexts = [httpCookie?.name, httpCookie?.path, ...(httpCookie?.attributes ?? []).flatMap(Object.values)];
  if (cookieTexts.some((text) => /[\0-\x20;,"]/.test(String(text ?? "")))) {
    problems.push(error(`${path}.httpCookie`, "has a blank, quote, comma or semicolon, which cookies cannot hold"));
  }
  if (ringHash !== undefined && maglev !== undefined) {
    problems.push(error(path, "has both ringHash and maglev: keep one of them"));
  }
  const { tableSize = 0 } = maglev ?? {};
  if (tableSize !== 0 && !isPrime(tableSize)) {
    problems.push(error(`${path}.maglev.tableSize`, `must be a prime number, such as 65537, but is ${tableSize}`));
  }
  return problems;
}

/** By trying: numbers are below 5,000,011 here. */
function isPrime(number: number): boolean {
  for (let divisor = 2; divisor * divisor <= number; divisor++) if (number % divisor === 0) return false;
  return number > 1;
}

/** https://istio.io/latest/docs/tasks/traffic-management/locality-load-balancing/ */
function checkLocality(setting: LocalityLbSetting, detectsOutliers: boolean, path: string): Problem[] {
  const { distribute = [], failover = [], failoverPriority = [], enabled } = setting;
  const problems: Problem[] = [];
  if (distribute.length > 0 && failover.length + failoverPriority.length > 0) {
    problems.push(error(path, "has both distribute and failover: keep one of them"));
  }
  for (const [index, { from, to }] of distribute.entries()) {
    const at = `${path}.distribute[${index}]`;
    const sum = Object.values(to).reduce((total, weight) => total + weight, 0);
    if (sum !== 100) problems.push(error(`${at}.to`, `has weights that sum to ${sum}: they must sum to 100`));
    for (const locality of [from, ...Object.keys(to)]) {
      if (!isLocality(locality))
        problems.push(error(at, `has ${JSON.stringify(locality)}, which is no REGION/ZONE/SUBZONE`));
    }
  }
  for (const [index, { from, to }] of failover.entries()) {
    const at = `${path}.failover[${index}]`;
    if (from === to) problems.push(error(at, `fails over from ${from} to itself: name another region`));
    if (`${from}${to}`.includes("*")) problems.push(error(at, "must name whole regions, without a wildcard"));
  }
  if (failover.length + failoverPriority.length > 0 && enabled !== false && !detectsOutliers) {
    const reason = "has no effect without outlierDetection in the same policy: only that tells which endpoints fail";
    problems.push(warning(path, reason));
  }
  return problems;
}

/** A wildcard stands for the rest, so it can only be last. */
function isLocality(text: string): boolean {
  const parts = text.split("/");
  return (
    parts.length <= 3 &&
    parts.every((part, index) => part !== "" && (!part.includes("*") || (part === "*" && index === parts.length - 1)))
  );
}
