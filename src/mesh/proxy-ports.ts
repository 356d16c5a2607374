/** Where a sidecar listens for itself: no listener of a Sidecar has a place there. */

/** At every address: what it captures, its health, and its metrics alone. */
const CAPTURING: ReadonlySet<number> = new Set([15_001, 15_006, 15_021, 15_090]);
/** Its and the application's metrics: at every address too, and nothing is redirected there. */
const MERGED_METRICS = 15_020;
/** On loopback alone. */
const ADMIN = 15_000;
export const DNS_CAPTURE_PORT = 15_053;

/** Whether it has the place of a listener for what applications dial at `ip`, which it is sent and does not bind. */
export function capturesItself(ip: string, port: number): boolean {
  return CAPTURING.has(port) || (port === MERGED_METRICS && isWildcard(ip));
}

/**
 * Whether it has the place of a listener that is bound at `ip`. At loopback that would take what is redirected there, or
 * what asks for the proxy's health; other single addresses are left to whoever names them. Of DNS, where it answers that.
 */
export function bindsItself(ip: string, port: number, answersDns: boolean): boolean {
  if (port === DNS_CAPTURE_PORT) return answersDns && isLoopback(ip);
  return (isLoopback(ip) || isWildcard(ip)) && (CAPTURING.has(port) || port === MERGED_METRICS || port === ADMIN);
}

function isWildcard(ip: string): boolean {
  return /^[0.:]+$/.test(ip);
}

/** In any of the ways in which they are written. */
function isLoopback(ip: string): boolean {
  return ip === "127.0.0.1" || /^[0:]*:0*1$/.test(ip);
}
