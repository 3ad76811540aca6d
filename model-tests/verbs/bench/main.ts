/**
 * `npm run bench:rdma [ROUNDS]`: the verbs adapter against what else does the same, as ratios within one run. The guest's
 * devices are in software, and its system calls slow: no claim about hardware. Exit code 1 when a ratio misses its bound.
 */

import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import Table from 'cli-table3';

import { findLibrary } from '../../../driver/adapter/verbs/library.ts';
import { guestIsMissing, runGuest } from '../../guest/guest.ts';
import { buildFake, nativeIsMissing } from '../native.ts';

const here = (file: string): string => fileURLToPath(new URL(file, import.meta.url));
const rounds = process.argv[2] ?? '5';

const missing = nativeIsMissing();
if (missing !== null) throw new Error(missing);
const library = findLibrary();
if ('reason' in library) throw new Error(library.reason);
mkdirSync(here('../../../native/build'), { recursive: true });
const echo = [here('../../../native/bench/echo.c'), '-o', here('../../../native/build/echo')];
execFileSync('gcc', ['-std=c11', '-D_GNU_SOURCE', '-O2', ...echo, '-lrdmacm', '-libverbs']);

const { nothing, batches } = JSON.parse(
  execFileSync(process.execPath, [here('crossing.ts')], {
    env: { ...process.env, LD_LIBRARY_PATH: buildFake('') },
    encoding: 'utf8',
  }),
) as { readonly nothing: number; readonly batches: readonly { readonly size: number; readonly ns: number }[] };
const crossing = new Table({ head: ['posted and polled at once', 'ns', 'ns each', 'against a null call'] });
crossing.push(['null call', nothing.toFixed(0), '', '1.0']);
for (const { size, ns } of batches) {
  crossing.push([`${size}`, ns.toFixed(0), (ns / size).toFixed(1), (ns / nothing).toFixed(1)]);
}
console.log(crossing.toString());

/** Highest ratio to a peer that is good enough. */
const bounds: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  'round trip': { 'rstream -T b': 1, 'echo.c': 1.5, 'node:net': 0.7 },
  polled: { 'echo.c': 2 },
  'window of 16': { 'echo.c': 1 / 0.6 },
};

const absent = guestIsMissing(['rstream']);
if (absent !== null) {
  console.log(`skipped: the guest: ${absent}`);
} else {
  const table = new Table({ head: ['device', '64 B', 'wsdirect, us', 'peer', 'us', 'ratio', 'bound', ''] });
  const { exitCode, stderr } = await runGuest(
    [process.execPath, here('guest.ts'), rounds],
    { timeoutS: 1800 },
    (line) => {
      const { device, what, medians } = JSON.parse(line) as {
        readonly device: string;
        readonly what: string;
        readonly medians: Readonly<Record<string, number>>;
      };
      const ours = medians['wsdirect']!;
      for (const [peer, bound] of Object.entries(bounds[what]!)) {
        const ratio = ours / medians[peer]!;
        const met = ratio <= bound;
        if (!met) process.exitCode = 1;
        table.push([
          device,
          what,
          ours.toFixed(1),
          peer,
          medians[peer]!.toFixed(1),
          ratio.toFixed(2),
          `≤ ${bound.toFixed(2)}`,
          met ? 'met' : 'MISSED',
        ]);
      }
    },
  );
  if (exitCode !== 0) throw new Error(stderr);
  console.log(table.toString());
}
