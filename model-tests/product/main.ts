/**
 * Writes and plays tests made from product graphs.
 *
 *     node model-tests/product/main.ts                      every world: edges covered, and every path played
 *     node model-tests/product/main.ts WORLD...             these worlds
 *     node model-tests/product/main.ts --write DIR WORLD    one file for each path; plays nothing
 *     node model-tests/product/main.ts --play FILE...       plays files
 */

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { parseArgs } from 'node:util';
import { worlds } from '../worlds/index.ts';
import { describeTests, formatScript, parseScript, play, playAll, productTests } from './index.ts';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { write: { type: 'string' }, play: { type: 'boolean', default: false } },
});

if (values.play) {
  for (const file of positionals) {
    play(parseScript(readFileSync(file, 'utf8')));
    console.log(`${file}: as predicted`);
  }
} else if (values.write !== undefined) {
  for (const world of positionals) {
    const tests = productTests(world);
    const folder = path.join(values.write, world.replaceAll(/[^a-z0-9]+/g, '-'));
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
  for (const world of positionals.length > 0 ? positionals : worlds.map(({ name }) => name)) {
    const tests = productTests(world);
    playAll(tests);
    console.log(describeTests(tests));
  }
}
