/**
 * Writes and plays tests made from product graphs.
 *
 *     node model-tests/product/main.ts                      every world: edges covered, and every path played
 *     node model-tests/product/main.ts WORLD...             these worlds
 *     node model-tests/product/main.ts --edges 20000        the first edges of each
 *     node model-tests/product/main.ts --record             and keeps what came of it in results.json
 *     node model-tests/product/main.ts --write DIR WORLD    one file for each path; plays nothing
 *     node model-tests/product/main.ts --play FILE...       plays files
 *     node model-tests/product/main.ts --keep               writes the one of each world that is in scripts/ anew
 */

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { worlds } from '../worlds/index.ts';
import {
  describeTests,
  formatScript,
  keptScripts,
  parseScript,
  play,
  playAll,
  productTests,
  scriptToKeep,
} from './index.ts';
import { type ProductRecord, readProducts, writeProducts } from './results.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    write: { type: 'string' },
    play: { type: 'boolean', default: false },
    edges: { type: 'string' },
    record: { type: 'boolean', default: false },
    keep: { type: 'boolean', default: false },
  },
});
const edgesMax = values.edges === undefined ? Number.POSITIVE_INFINITY : Number(values.edges);
if (!(edgesMax >= 1)) throw new Error(`--edges wants a number from 1 on, not '${values.edges}'`);

const fileName = (world: string): string => world.replaceAll(/[^a-z0-9]+/g, '-');

if (values.play) {
  for (const file of positionals) {
    play(parseScript(readFileSync(file, 'utf8')));
    console.log(`${file}: as predicted`);
  }
} else if (values.keep) {
  for (const { name } of worlds) {
    const script = scriptToKeep(productTests(name, 1000));
    if (script !== null) writeFileSync(new URL(`${fileName(name)}.txt`, keptScripts), formatScript(script));
  }
} else if (values.write !== undefined) {
  for (const world of positionals) {
    const tests = productTests(world, edgesMax);
    const folder = path.join(values.write, fileName(world));
    mkdirSync(folder, { recursive: true });
    for (const number of tests.tours.paths.keys()) {
      writeFileSync(
        path.join(folder, `${String(number + 1).padStart(6, '0')}.txt`),
        formatScript(tests.script(number)),
      );
    }
    console.log(`${folder}: ${tests.tours.paths.length} files`);
  }
} else {
  const names = worlds.map(({ name }) => name);
  for (const world of positionals.length > 0 ? positionals : names) {
    const tests = productTests(world, edgesMax);
    playAll(tests);
    console.log(describeTests(tests));
    if (!values.record) continue;
    const { edges, covered, paths, steps, refused } = tests.tours;
    const record: ProductRecord = {
      world,
      edges,
      covered,
      paths: paths.length,
      steps,
      refused: Object.fromEntries(refused),
    };
    // Kept at once: who stops it keeps what was found.
    const others = readProducts().filter((other) => other.world !== world && names.includes(other.world));
    writeProducts([...others, record].sort((left, right) => names.indexOf(left.world) - names.indexOf(right.world)));
  }
}
