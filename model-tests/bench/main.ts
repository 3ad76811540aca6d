/**
 * `npm run bench`: what things cost, as ratios to a peer in the same process. Not a test: machines are shared and noisy.
 * Exit code 1 when a ratio misses its bound. `npm run bench -- NAME...` makes some of the comparisons only;
 * `npm run bench -- hostile` shows what peers cost that mean no good, `npm run bench -- crc` what libraries of CRC32C cost,
 * `npm run bench -- layers [CONNECTIONS...]` what an echo over iWARP costs by layer.
 *
 * Each comparison has a process of its own, both sides of it: what the compiler has learnt from one adapter or one set of
 * machines would be measured with the next.
 */

import { fork } from 'node:child_process';
import Table from 'cli-table3';
import { crcBench } from './crc.ts';
import { echoFigures } from './echoes.ts';
import { explorerFigures } from './explorer.ts';
import { hostileBench } from './hostile.ts';
import { iwarpFigures } from './iwarp.ts';
import { layersBench } from './layers.ts';
import { type Figure, ratio } from './measure.ts';
import { memoryFigures } from './memory.ts';
import { roundFigures } from './round.ts';
import { spinFigures } from './spin.ts';
import { stepFigures } from './step.ts';

type Comparison = (report: (line: string) => void) => Figure[] | Promise<Figure[]>;

const comparisons: Readonly<Record<string, Comparison>> = {
  iwarp: iwarpFigures,
  step: stepFigures,
  round: roundFigures,
  echoes: echoFigures,
  memory: memoryFigures,
  explorer: explorerFigures,
  spin: spinFigures,
};

/** Makes the comparison `name` in a process of its own. */
function inOwnProcess(name: string): Promise<Figure[]> {
  return new Promise((resolve, reject) => {
    const child = fork(import.meta.filename, [name]);
    let figures: Figure[] | null = null;
    child.on('message', (made) => {
      figures = made as Figure[];
    });
    child.on('error', reject);
    child.on('close', (code) => {
      if (figures === null) reject(new Error(`the comparison '${name}' ended with exit code ${code} and no figures`));
      else resolve(figures);
    });
  });
}

function print(figures: readonly Figure[]): void {
  const number = (value: number): string => (value >= 100 ? value.toFixed(0) : value.toPrecision(3));
  const table = new Table({ head: ['what', 'here', 'peer', 'there', 'ratio', 'bound', ''] });
  for (const figure of figures) {
    const { what, value, unit, peer, peerValue, bound } = figure;
    const met = ratio(figure) <= bound;
    table.push([
      what,
      `${number(value)} ${unit}`,
      peer,
      `${number(peerValue)} ${unit}`,
      ratio(figure).toPrecision(3),
      `≤ ${bound.toPrecision(3)}`,
      met ? 'met' : 'MISSED',
    ]);
  }
  console.log(table.toString());
}

const names = process.argv.slice(2);
if (names[0] === 'hostile') await hostileBench();
if (names[0] === 'crc') await crcBench();
if (names[0] === 'layers') await layersBench(names.slice(1));
const unknown = names.filter((name) => !Object.hasOwn(comparisons, name));
if (unknown.length > 0) {
  console.error(`no comparison '${unknown[0]}': one of ${Object.keys(comparisons).join(', ')}, crc, layers or hostile`);
  process.exit(2);
}
if (process.send === undefined) {
  const figures: Figure[] = [];
  for (const name of names.length > 0 ? names : Object.keys(comparisons)) figures.push(...(await inOwnProcess(name)));
  print(figures);
  process.exitCode = figures.every((figure) => ratio(figure) <= figure.bound) ? 0 : 1;
} else {
  const figures = await comparisons[names[0]!]!((line) => console.log(line));
  process.send(figures, () => process.disconnect());
}
