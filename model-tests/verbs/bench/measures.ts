/** What `npm run bench:rdma` measures in the guest, and how much more than a peer it may take. */

interface Definition {
  readonly title: string;
  readonly unit: string;
  /** Highest ratio to each peer; peers without one are there to compare. */
  readonly bounds: Readonly<Record<string, number>>;
}

export const measures = {
  'round trip': {
    title: '64 B round trip, two processes',
    unit: 'us',
    bounds: { 'rstream -T b': 1, 'echo.c': 1.5, 'node:net': 0.7 },
  },
  polled: { title: '64 B round trip, polled in one process', unit: 'us', bounds: { 'echo.c': 2 } },
  'window of 16': { title: '64 B, 16 under way, a message', unit: 'us', bounds: { 'echo.c': 1 / 0.6 } },
  'write 64 KiB': { title: 'RDMA write of 64 KiB', unit: 'us', bounds: { ib_write_bw: 1 / 0.95 } },
  'write 1 MiB': { title: 'RDMA write of 1 MiB', unit: 'us', bounds: { ib_write_bw: 1 / 0.95 } },
  'read 64 KiB': { title: 'RDMA read of 64 KiB', unit: 'us', bounds: { ib_read_bw: 1 / 0.95 } },
  'read 1 MiB': { title: 'RDMA read of 1 MiB', unit: 'us', bounds: { ib_read_bw: 1 / 0.95 } },
  'messages 64 KiB': { title: 'stream of messages of 64 KiB', unit: 'us', bounds: { rstream: 1 } },
  'system calls': { title: 'system calls for 1,000 messages of a stream', unit: '', bounds: { 'echo.c': 1.2 } },
  'system calls, one by one': {
    title: 'system calls for 1,000 messages, one under way',
    unit: '',
    bounds: {},
  },
  'a system call': { title: 'one system call that does nothing', unit: 'us', bounds: {} },
  idle: { title: 'processor time of an idle connection, both ends', unit: 'ms/s', bounds: {} },
  'idle wakes': { title: 'wake-ups of an idle connection in a second, both ends', unit: '', bounds: {} },
} as const satisfies Readonly<Record<string, Definition>>;

export type Measure = keyof typeof measures;
export const definitionOf = (measure: Measure): Definition => measures[measure];

/** A line of what the guest prints. */
export interface Measured {
  readonly device: string;
  readonly measure: Measure;
  /** By contender; `wsdirect` is one. */
  readonly took: Readonly<Record<string, number>>;
  /** What that consists of, where it is known: by contender and name; each the median of all rounds. */
  readonly parts: Readonly<Record<string, Readonly<Record<string, number>>>>;
}
