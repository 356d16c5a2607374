/** A control plane in front of an API server, as its clients see it. */
export interface Contender {
  readonly name: string;
  /** From the start of the process until it said that it is ready. */
  readonly readyMs: number;
  /** host:port of ADS without TLS. */
  readonly adsAddress: string;
  /** Of the certificate service over TLS, on loopback. */
  readonly grpcPort: number;
  /** Of the webhook, on loopback. */
  readonly httpsPort: number;
  /** What the certificates of its TLS ports are checked against. */
  readonly rootCertFile: string;
  /** The most memory it ever held, in MB. */
  peakMemoryMb(): number;
  stop(): Promise<void>;
}
