/** Every bound of the driver that isn't a machine's (those are in machines/limits.ts), with its unit. */

export const limits = {
  /** Bound of a connection attempt. Source: WSD-060. */
  connectMs: 10_000,
  /** Bound of a connection's move to another process, at both ends. Source: 15.4. */
  migrationMs: 30_000,
  /** Bound of the flush after WSPCloseSocket; then the connector is destroyed with what it still holds. */
  closeMs: 2_000,
  /** Bound of WSPGetOverlappedResult with fWait. */
  waitMs: 60_000,
  /** Gather or scatter elements of a send or receive, and of an RDMA request. Source: 7.6. */
  elementsMax: 4,
  rdmaElementsMax: 8,
  /** Private first receive, in bytes; more than the 256 that a first message may have. Source: 7.5. */
  firstMessageBytes: 256,
  /** Largest size that SO_MAX_MSG_SIZE and SO_MAX_RDMA_SIZE report, in bytes. Source: section 13. */
  transferBytesMax: 0x7fff_ffff,
  /** SO_RDMA_THRESHOLD_SIZE, in bytes. Source: section 13. */
  rdmaThresholdBytes: 4096,
  /** First port that is tried for connections that come back, and how many. */
  reattachPort: 49_152,
  reattachPorts: 64,
  /** Rounds of polling that one turn spends on completions before it looks at anything else. */
  pollRounds: 16,
} as const;
