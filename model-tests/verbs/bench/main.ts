/**
 * `npm run bench:rdma`: the verbs adapter against what else does the same, as ratios within one run. The guest's devices are
 * in software, and its system calls slow: no claim about hardware.
 *
 *     npm run bench:rdma                          everything, five rounds
 *     npm run bench:rdma -- --rounds 9 siw        one device
 *     npm run bench:rdma -- polled 'round trip'   some measures
 *     taskset -c 1 nice -n -20 npm run bench:rdma where the computer has other work: a guest's processes then don't move
 *
 * Results are kept by device and measure in results.json, so it can be done in pieces. Last it writes the generated part of
 * docs/performance.md. Exit code 1 when a ratio that was measured misses its bound.
 */

import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import { findLibrary } from '../../../driver/adapter/verbs/library.ts';
import { guestIsMissing, runGuest } from '../../guest/guest.ts';
import { buildFake, nativeIsMissing } from '../native.ts';
import { definitionOf, type Measure, type Measured, measures } from './measures.ts';
import { type Crossing, rdmaTables, ratiosOf, replaceGenerated, type Results } from './report.ts';

const here = (file: string): string => fileURLToPath(new URL(file, import.meta.url));
const { values, positionals } = parseArgs({ allowPositionals: true, options: { rounds: { type: 'string' } } });
const isMeasure = (name: string): name is Measure => Object.hasOwn(measures, name);
const isDevice = (name: string): boolean => name === 'rxe' || name === 'siw';
const unknown = positionals.filter((name) => !isMeasure(name) && !isDevice(name) && name !== 'crossing');
if (unknown.length > 0) {
  throw new Error(`unknown: ${unknown.join(', ')}; there are rxe, siw, crossing, ${Object.keys(measures).join(', ')}`);
}
const asked = positionals.filter((name) => !isDevice(name));
const devices = positionals.some(isDevice) ? positionals.filter(isDevice) : ['rxe', 'siw'];
const chosen = (asked.length === 0 ? Object.keys(measures) : asked).filter(isMeasure);
const rounds = Number(values.rounds ?? 5);

const missing = nativeIsMissing();
if (missing !== null) throw new Error(missing);
const library = findLibrary();
if ('reason' in library) throw new Error(library.reason);

const resultsFile = here('results.json');
const results = JSON.parse(readFileSync(resultsFile, 'utf8')) as Results;
const keep = (): void => writeFileSync(resultsFile, `${JSON.stringify(results, null, 1)}\n`);

if (asked.length === 0 || asked.includes('crossing')) {
  results.crossing = JSON.parse(
    execFileSync(process.execPath, [here('crossing.ts')], {
      env: { ...process.env, LD_LIBRARY_PATH: buildFake('') },
      encoding: 'utf8',
    }),
  ) as Crossing;
  keep();
}

const absent = guestIsMissing(['ib_write_bw', 'rstream', 'strace']);
if (absent !== null && chosen.length > 0) console.log(`skipped: the guest: ${absent}`);
else if (chosen.length > 0) {
  mkdirSync(here('../../../native/build'), { recursive: true });
  const echo = [here('../../../native/bench/echo.c'), '-o', here('../../../native/build/echo')];
  execFileSync('gcc', ['-std=c11', '-D_GNU_SOURCE', '-O2', ...echo, '-lrdmacm', '-libverbs']);
  // Each in a guest of its own: what one has left behind, and a guest that hangs, are nobody else's.
  for (const device of devices) {
    for (const measure of chosen) {
      const command = [process.execPath, here('guest.ts'), `${rounds}`, device, measure];
      const { exitCode, stderr } = await runGuest(command, { timeoutS: 1800 }, (line) => {
        const measured = JSON.parse(line) as Measured;
        const rest = results.measured.filter((each) => each.device !== device || each.measure !== measure);
        results.measured = [...rest, { ...measured, rounds }];
        const { unit, title } = definitionOf(measure);
        const took = Object.entries(measured.took).map(([name, value]) => `${name} ${value.toFixed(2)}`);
        console.log(`${device}: ${title}, ${unit}: ${took.join(', ')}`);
        if (ratiosOf(measured).some(({ isMet }) => !isMet)) process.exitCode = 1;
        keep();
      });
      if (exitCode !== 0) {
        console.error(`${device}: ${measure}: not measured\n${stderr}`);
        process.exitCode = 1;
      }
    }
  }
}

const page = here('../../../docs/performance.md');
const tables = rdmaTables(results);
writeFileSync(page, replaceGenerated(readFileSync(page, 'utf8'), tables));
console.log(tables);
