/**
 * `npm run bench`: what things cost, as ratios to a peer in the same run. Not a test: machines are shared and noisy.
 * Exit code 1 when a ratio misses its bound. `npm run bench -- iwarp` makes only the comparison with node:net;
 * `npm run bench -- hostile` shows what peers cost that mean no good.
 */

import Table from 'cli-table3';
import { explorerFigures } from './explorer.ts';
import { hostileBench } from './hostile.ts';
import { iwarpFigures } from './iwarp.ts';
import { type Figure, ratio } from './measure.ts';
import { memoryFigures } from './memory.ts';
import { roundFigures } from './round.ts';
import { spinFigures } from './spin.ts';
import { stepFigures } from './step.ts';

if (process.argv[2] === 'hostile') await hostileBench();

const report = (line: string): void => console.log(line);
const figures: Figure[] = await iwarpFigures(report);
if (process.argv[2] !== 'iwarp') {
  figures.push(
    ...(await stepFigures(report)),
    ...(await roundFigures()),
    ...memoryFigures(report),
    ...explorerFigures(report),
    ...(await spinFigures(report)),
  );
}

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
process.exitCode = figures.every((figure) => ratio(figure) <= figure.bound) ? 0 : 1;
