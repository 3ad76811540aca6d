/** `wsdirect check WORLD…`: searches worlds of the catalogue, and says what came of it. */

import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';

import { SingleBar } from 'cli-progress';

import { type CheckOptions, OUT_OF_LIMITS } from '../../driver/cli/check.ts';
import { counted, Exit, makeFolder, type Terminal, UserError, withFile } from '../../driver/cli/command.ts';
import { machineNames } from '../../machines/index.ts';
import {
  EVERY_EVENT,
  exploreInSteps,
  type Found,
  type Progress,
  type Property,
  replay,
  searchHashed,
  type Verdict,
  type WorldDefinition,
} from '../explorer/index.ts';
import { describePath } from '../explorer/report.ts';
import { type CatalogWorld, statementsOf, worlds } from '../worlds/index.ts';
import { engineText, runEngines, type EngineAnswer } from './engines.ts';
import { pathFile, readPath, record } from './violation.ts';

/** What came of one world. */
export interface WorldResult {
  readonly world: CatalogWorld;
  readonly found: Found;
  readonly engines: readonly EngineAnswer[];
}

/** Worlds that `names` ask for: by name, by a part of it, or by effort. @throws UserError when a name is none's */
export function selectWorlds(
  names: readonly string[],
  { all = false }: Pick<CheckOptions, 'all'>,
  catalogue: readonly CatalogWorld[] = worlds,
): readonly CatalogWorld[] {
  if (names.length === 0) return catalogue.filter(({ effort }) => all || effort === 'quick');
  return names.flatMap((name) => {
    const exact = catalogue.filter((world) => world.name === name);
    const found = exact.length > 0 ? exact : catalogue.filter((world) => world.name.includes(name));
    if (found.length > 0) return found;
    const hint = (machineNames as readonly string[]).includes(name)
      ? `'${name}' is a machine, and machines are searched in worlds: name none for all quick ones, or`
      : `no world '${name}':`;
    throw new UserError(`${hint} one of\n  ${catalogue.map((world) => world.name).join('\n  ')}`);
  });
}

/** Properties that `--property` asks for. */
export function selectProperties({ properties }: CatalogWorld, wanted: string | undefined): readonly Property[] {
  return wanted === undefined ? properties : properties.filter(({ name }) => name.includes(wanted));
}

/** Searches one world, with a progress bar on a terminal; ends when Ctrl-C is pressed. */
export async function searchWorld(
  { definition }: CatalogWorld,
  properties: readonly Property[],
  options: CheckOptions,
  interrupted: AbortSignal,
): Promise<Found> {
  const reduced = options.reduce === true;
  const steps = exploreInSteps(definition, properties, {
    memoryMax: options.maxMemory,
    threads: options.workers,
    reductions: { dead: reduced, symmetry: reduced },
  });
  const bar = options.json === true || !process.stderr.isTTY ? null : progressBar(definition.name);
  try {
    for (;;) {
      const { done, value } = steps.next();
      if (done === true) return value;
      bar?.update(value.expanded, progressTexts(value));
      bar?.setTotal(value.states);
      await nextTurn();
      interrupted.throwIfAborted();
    }
  } finally {
    steps.return(undefined as never);
    bar?.stop();
  }
}

function progressBar(name: string): SingleBar {
  const bar = new SingleBar({
    format: `${name} [{bar}] {value}/{total} states, {rate} k/s, {memory} MiB, depth {depth}`,
    stream: process.stderr,
    clearOnComplete: true,
    hideCursor: true,
  });
  bar.start(1, 0, { rate: 0, memory: 0, depth: 0 });
  return bar;
}

const progressTexts = ({ states, seconds, bytes, depth }: Progress) => ({
  rate: (states / seconds / 1000).toFixed(0),
  memory: (bytes / 2 ** 20).toFixed(0),
  depth,
});

/** @param catalogue - instead of the catalogue of worlds @returns the exit code */
export async function checkWorlds(
  terminal: Terminal,
  names: readonly string[],
  options: CheckOptions,
  catalogue: readonly CatalogWorld[] = worlds,
): Promise<number> {
  if (options.mutate === true) {
    const { checkMutants } = await import('./mutation.ts');
    return await checkMutants(terminal, names, options);
  }
  const chosen = selectWorlds(names, options, catalogue);
  if (options.replay !== undefined) return replayFile(terminal, chosen, options.replay);
  const { write } = terminal;
  const results: WorldResult[] = [];
  let asked = 0;
  for (const world of chosen) {
    const properties = selectProperties(world, options.property);
    asked += properties.length;
    if (properties.length === 0 && options.property !== undefined) continue;
    const found = await searchWorld(world, properties, options, terminal.interrupted);
    const engines = options.spin === true ? await runEngines(world, properties, found) : [];
    results.push({ world, found, engines });
    if (options.json !== true) write(`${resultText({ world, found, engines })}\n`);
    for (const verdict of violated(found)) report(terminal, world.definition, found, verdict, options);
    if (!found.complete && options.hashed === true && options.json !== true) {
      const hashed = searchHashed(world.definition, properties, { memory: options.maxMemory });
      write(`${hashed.text}\n`);
      if (hashed.violation !== null) report(terminal, world.definition, found, hashed.violation, options);
    }
  }
  if (asked === 0) {
    const ids = [...new Set(chosen.flatMap(({ properties }) => properties.flatMap(statementsOf)))].sort();
    throw new UserError(`nothing is asked under '${options.property}' in these worlds; there is ${ids.join(', ')}`);
  }
  const code = exitCodeOf(results);
  if (options.json === true) write(`${JSON.stringify({ exitCode: code, worlds: results.map(resultData) }, null, 2)}\n`);
  else {
    const said: Record<number, string> = {
      [Exit.ok]: 'everything asked holds',
      [Exit.failed]: 'violated',
      [OUT_OF_LIMITS]: 'out of limits',
    };
    write(`check: ${counted(results.length, 'world')}: ${said[code]}\n`);
  }
  return code;
}

const violated = ({ verdicts }: Found): readonly Verdict[] =>
  verdicts.filter(({ holds, unknown }) => !holds && !unknown);

export function exitCodeOf(results: readonly WorldResult[]): number {
  const disagrees = ({ engines }: WorldResult) => engines.some(({ differences }) => differences.length > 0);
  if (results.some((result) => violated(result.found).length > 0 || disagrees(result))) return Exit.failed;
  return results.every(({ found }) => found.complete) ? Exit.ok : OUT_OF_LIMITS;
}

/** What came of one world, in a few lines. */
function resultText({ world, found, engines }: WorldResult): string {
  const { states, transitions, depth, seconds, bytes, verdicts, unfired, unreached, complete } = found;
  const stopped = !complete && violated(found).length > 0;
  const holding = verdicts.filter(({ holds }) => holds).length;
  const lines = [
    `${world.name}: ${world.question}`,
    `  ${states} states, ${transitions} transitions, depth ${depth}, ${seconds.toFixed(1)} s` +
      ` (${(states / seconds / 1000).toFixed(0)} k states/s, ${(bytes / states).toFixed(1)} bytes a state)`,
    `  ${complete ? `${holding} of ${verdicts.length} properties hold` : `${stopped ? 'STOPPED AT A VIOLATION' : 'OUT OF LIMITS'}: nothing is known of the rest`}`,
  ];
  if (found.orbitSum !== states) lines.push(`  they stand for ${found.orbitSum} states`);
  if (unfired.length > 0 && !stopped) lines.push(`  never happened: ${unfired.join('; ')}`);
  if (!stopped) lines.push(`  never reached: ${counted(unreached.length, 'value')} (--json lists them)`);
  for (const engine of engines) lines.push(`  ${engineText(engine)}`);
  return lines.join('\n');
}

/** The same as data. */
function resultData({ world, found, engines }: WorldResult) {
  const { states, transitions, depth, seconds, bytes, complete, orbitSum, verdicts, unfired, unreached } = found;
  const named = verdicts.map((verdict) => ({ ...verdict, ...pathFile(world.definition, verdict) }));
  return {
    world: world.name,
    question: world.question,
    ...{ states, transitions, depth, seconds, bytes, complete, orbitSum, unfired, unreached },
    verdicts: named,
    engines,
  };
}

/** Prints a violation and writes its files. */
function report(
  terminal: Terminal,
  definition: WorldDefinition,
  found: Found,
  verdict: Verdict,
  { out = '.', json }: CheckOptions,
): void {
  const name = `${definition.name} ${verdict.property === EVERY_EVENT ? 'event' : verdict.property}`
    .replaceAll(/[^A-Za-z0-9]+/g, '-')
    .slice(0, 60)
    .replace(/-$/, '');
  const file = (extension: string): string => path.join(out, `${name}.${extension}`);
  const files = [file('json')];
  if (json !== true) terminal.write(`\n${found.report(verdict)}\n`);
  const write = (): void => {
    writeFileSync(file('json'), `${JSON.stringify(pathFile(definition, verdict), null, 2)}\n`);
    const recording = record(definition, [...verdict.path, ...verdict.cycle]);
    if (recording === null) return;
    writeFileSync(file('wsdj'), recording.journal);
    files.push(file('wsdj'));
    if (recording.diagram === '') return;
    writeFileSync(file('mmd'), recording.diagram);
    files.push(file('mmd'));
  };
  try {
    makeFolder(path.resolve(out), out);
    withFile(`cannot write to ${out}`, write);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    // What a long search has found isn't lost where nothing can be written.
    terminal.report(`wsdirect: ${error.message}\n`);
    return;
  }
  if (json === true) return;
  terminal.write(`\n  written: ${files.join(', ')}\n`);
  terminal.write(`  again: npx wsdirect check '${definition.name}' --replay '${files[0]}'\n\n`);
}

/** Goes a path again. */
function replayFile({ write }: Terminal, chosen: readonly CatalogWorld[], file: string): number {
  if (chosen.length !== 1) throw new UserError('--replay needs one world: name it');
  const { definition } = chosen[0]!;
  let found: ReturnType<typeof readPath>;
  try {
    found = withFile(`cannot read ${file}`, () => readPath(definition, file));
  } catch (error) {
    if (error instanceof UserError) throw error;
    throw new UserError(`${file}: ${(error as Error).message}`);
  }
  const steps = replay(definition, found.rules);
  const stopped = steps.find(({ error }) => error !== undefined);
  write(`world '${definition.name}': ${found.property}: ${found.because}\n${describePath(steps, 1)}\n`);
  const whole = found.property === EVERY_EVENT ? stopped !== undefined : stopped === undefined;
  write(`replay: ${whole ? 'as it was' : 'the world does not go this way any more'}\n`);
  return whole ? Exit.failed : Exit.ok;
}
