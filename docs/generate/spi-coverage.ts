/**
 * The page that leads from each requirement, and each SPI function, to its tests.
 *
 * Theory of operation: requirements are read from the specification's section 19 and tests from the titles in the test
 * files, where a test names what it checks (`WSD-076: ...`). What a function does in which state is read from the charts.
 */

import { readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';
import {
  type Chart,
  type ChartState,
  chartOf,
  defineMachines,
  type MachineName,
  machineNames,
  productionLimits,
} from '../../machines/index.ts';
import { code, table } from './markdown.ts';
import { uncovered } from './uncovered.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const specification = () => readFileSync(path.join(root, 'docs/spec/wsd.md'), 'utf8');

/** What section 19 has. A change of it is meant, so it is counted. */
export const REQUIREMENT_COUNT = 148;
export const FUNCTION_COUNT = 25;

const WSD_ID = /WSD-\d{3}/g;

/** A numbered requirement. */
export interface Requirement {
  /** `WSD-001` */
  readonly id: string;
  readonly statement: string;
  /** SPI functions that the statement names, or whose own page is its source. */
  readonly functions: readonly string[];
  /** Evidence tags and source keys, as the specification gives them. */
  readonly sources: string;
}

/** A test, or group of tests, that names requirements in its title. */
export interface CitingTest {
  readonly file: string;
  readonly title: string;
  readonly ids: readonly string[];
}

/** @throws Error when the specification has another number of requirements than it should */
export function requirements(): Requirement[] {
  const section = specification().split('\n## 19. ')[1]!.split('\n## ')[0]!;
  const functions = spiFunctions();
  const found = [...section.matchAll(/^- \*\*(WSD-\d{3})\*\* ([^:]*): (.*)$/gm)].map(([, id, sources, statement]) => ({
    id: id!,
    statement: statement!,
    functions: functions
      .filter(({ name, sources: keys }) => statement!.match(/WSP\w+/g)?.includes(name) || sources!.includes(keys[0]!))
      .map(({ name }) => name),
    sources: sources!,
  }));
  const ids = new Set(found.map(({ id }) => id));
  if (found.length !== REQUIREMENT_COUNT || ids.size !== REQUIREMENT_COUNT) {
    throw new Error(`the specification has ${ids.size} requirements, not ${REQUIREMENT_COUNT}`);
  }
  return found;
}

/** Events that a function becomes, or why it becomes none. */
const eventsOf: Readonly<Record<string, readonly `${MachineName}/${string}`[] | string>> = {
  WSPStartupEx: ['provider/spi.startup'],
  WSPCleanup: ['provider/spi.cleanup'],
  WSPSocket: ['socket/spi.socket', 'socket/spi.takeOver'],
  WSPBind: ['socket/spi.bind'],
  WSPSetSockOpt: ['socket/spi.setSockOpt'],
  WSPGetSockOpt: 'only reads',
  WSPIoctl: 'only reads',
  WSPGetQOSByName: 'always refused',
  WSPConnect: ['socket/spi.connect'],
  WSPListen: ['socket/spi.listen'],
  WSPAccept: ['socket/spi.accept'],
  WSPEventSelect: ['socket/spi.eventSelect'],
  WSPEnumNetworkEvents: ['networkEvents/spi.enumNetworkEvents'],
  WSPCloseSocket: ['socket/spi.closeSocket'],
  WSPDuplicateSocket: ['socket/spi.duplicateSocket'],
  WSPSend: ['socket/spi.send'],
  WSPRecv: ['socket/spi.recv'],
  WSPGetOverlappedResult: 'only reads, after a turn of the poller',
  WSPRdmaWrite: ['socket/spi.rdmaWrite'],
  WSPRdmaRead: ['socket/spi.rdmaRead'],
  WSPRegisterMemory: ['socket/spi.registerMemory'],
  WSPDeregisterMemory: ['socket/spi.deregisterMemory'],
  WSPRegisterRdmaMemory: ['socket/spi.registerMemory'],
  WSPDeregisterRdmaMemory: ['socket/spi.deregisterMemory'],
  WSPMemoryRegistrationCacheCallback: 'not offered: nothing is cached',
};

export interface SpiFunction {
  readonly name: string;
  /** Keys of the source pages: its own page, and the guide's pages that its section refers to. */
  readonly sources: readonly string[];
}

/** The functions that sections 2 to 6 describe, in their order. */
export function spiFunctions(): SpiFunction[] {
  const text = specification();
  const pageKeys = new Map<string, string>();
  for (const [, keys, pages] of text.matchAll(/^\| (ff[\d, f]+) \| (WSP[\w, ]+) \|/gm)) {
    const names = pages!.split(', ');
    for (const [index, key] of keys!.split(', ').entries()) pageKeys.set(names[index]!, key);
  }
  const described = text.slice(text.indexOf('\n## 2. '), text.indexOf('\n### 6.6 '));
  const found = described
    .split('\n### ')
    .slice(1)
    .flatMap((section) => {
      const [heading] = section.split('\n');
      const guide = [...new Set(section.match(/DG-[A-Z]+/g))];
      return (heading!.match(/WSP\w+/g) ?? []).map((name) => {
        const page = pageKeys.get(name);
        return { name, sources: page === undefined ? guide : [page, ...guide] };
      });
    });
  if (found.length !== FUNCTION_COUNT) throw new Error(`the specification describes ${found.length} functions`);
  return found;
}

/** Tests whose title, or whose group's title, names requirements: what `pattern` matches. */
export function citingTests(pattern: RegExp = WSD_ID): CitingTest[] {
  return ['machines', 'driver', 'model-tests', 'docs']
    .flatMap((folder) =>
      readdirSync(path.join(root, folder), { recursive: true, encoding: 'utf8' }).map((name) => `${folder}/${name}`),
    )
    .map((file) => file.replaceAll('\\', '/'))
    .filter((file) => file.endsWith('.test.ts') && !file.includes('node_modules/'))
    .sort()
    .flatMap((file) => citationsIn(file, readFileSync(path.join(root, file), 'utf8'), pattern));
}

/** @param text - source of a test file */
export function citationsIn(file: string, text: string, pattern: RegExp = WSD_ID): CitingTest[] {
  // Cheap first: most files name none, and parsing is what takes the time.
  if (text.match(pattern) === null) return [];
  const found: CitingTest[] = [];
  const visit = (node: ts.Node): void => {
    if (ts.isCallExpression(node) && isTestFunction(node.expression)) {
      const [first] = node.arguments;
      const title = first === undefined ? null : titleOf(first);
      const ids = title === null ? [] : [...new Set(title.match(pattern))];
      if (ids.length > 0) found.push({ file, title: title!, ids });
    }
    ts.forEachChild(node, visit);
  };
  visit(ts.createSourceFile(file, text, ts.ScriptTarget.Latest));
  return found;
}

/** `test`, `it`, `describe`, with whatever modifiers: `test.each(...)`, `describe.skipIf(...)`. */
function isTestFunction(callee: ts.Expression): boolean {
  if (ts.isIdentifier(callee)) return ['test', 'it', 'describe'].includes(callee.text);
  if (ts.isPropertyAccessExpression(callee) || ts.isCallExpression(callee)) return isTestFunction(callee.expression);
  return false;
}

function titleOf(node: ts.Expression): string | null {
  if (ts.isStringLiteralLike(node)) return node.text;
  if (!ts.isTemplateExpression(node)) return null;
  return node.head.text + node.templateSpans.map(({ literal }) => `…${literal.text}`).join('');
}

/** States in which an event does more than give a constant error. */
function activeStates(chart: Chart, event: string): string[] {
  const answered = chart.answered.filter(({ events, answer }) => events.includes(event) && answer === '0');
  const visit = (state: ChartState): string[] => {
    const mine =
      state.transitions.some(({ events }) => events.includes(event)) ||
      answered.some((entry) => entry.state === state.path);
    return [...(mine ? [state.path] : []), ...state.children.flatMap(visit)];
  };
  return chart.states.flatMap(visit);
}

/** The page. */
export function coveragePage(): string {
  const all = requirements();
  const tests = citingTests();
  const testsOf = (id: string) => tests.filter(({ ids }) => ids.includes(id));
  const testsText = (of: readonly CitingTest[]) =>
    of.map(({ file, title }) => `[${file}](../${file}): ${title}`).join('<br>');
  const definitions = defineMachines(productionLimits);
  const charts = new Map(machineNames.map((name) => [name, chartOf(definitions[name])]));
  const covered = all.filter(({ id }) => testsOf(id).length > 0);
  const open = all.filter(({ id }) => testsOf(id).length === 0);

  const functionRows = spiFunctions().map(({ name, sources }) => {
    const events = eventsOf[name];
    if (events === undefined) throw new Error(`which events ${name} becomes is not known`);
    const states =
      typeof events === 'string'
        ? []
        : events.flatMap((event) => {
            const [machine, type] = event.split('/') as [MachineName, string];
            const prefix = machine === 'socket' ? '' : `${machine}: `;
            return activeStates(charts.get(machine)!, type).map((state) => `${prefix}${state}`);
          });
    const mine = all.filter(({ functions }) => functions.includes(name));
    const files = new Set(mine.flatMap(({ id }) => testsOf(id).map(({ file }) => file)));
    return [
      name,
      typeof events === 'string' ? events : events.map(code).join(', '),
      [...new Set(states)].join(', '),
      mine.map(({ id }) => `[${id}](#${id.toLowerCase()})`).join(' '),
      [...files].map((file) => `[${file}](../${file})`).join(', '),
      sources.join(', '),
    ];
  });
  return [
    '<!-- Generated by npm run docs from docs/spec/wsd.md, machines/ and the titles of tests; do not edit. -->',
    '',
    '# SPI coverage',
    '',
    `${covered.length} of ${all.length} requirements of the [specification](spec/wsd.md) (section 19) are named in the title of a test.`,
    '',
    '## Functions',
    '',
    'States are those in which the call does more than answer with a fixed error; of the socket unless another machine is',
    'named. Requirements are those that name the function or have its own page as their source.',
    '',
    table(['Function', 'Events', 'Acts in', 'Requirements', 'Tests', 'Sources'], functionRows),
    '',
    '## Requirements',
    '',
    table(
      ['Id', 'Statement', 'Functions', 'Source', 'Tests'],
      all.map(({ id, statement, functions, sources }) => [
        `<a id="${id.toLowerCase()}"></a>${id}`,
        statement,
        functions.join(', '),
        sources,
        testsText(testsOf(id)),
      ]),
    ),
    '',
    '## Without a test',
    '',
    open.length === 0
      ? 'None.'
      : table(
          ['Id', 'Statement', 'Reason'],
          open.map(({ id, statement }) => [id, statement, uncovered[id] ?? '']),
        ),
    '',
  ].join('\n');
}
