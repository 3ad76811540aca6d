/**
 * The page about all machines: what each is for, remembers, accepts and asks for.
 *
 * Theory of operation: prose is the comment at the top of each machine's file, and the comments on its fields, events and
 * effects; all else is read from the contract, the chart and the tables.
 */

import { readFileSync } from 'node:fs';
import {
  bounds,
  type ChartState,
  type CompiledMachine,
  chartOf,
  compileMachines,
  type Contract,
  type Domain,
  defineMachines,
  type MachineName,
  machineNames,
  productionLimits,
  type Route,
  type Rows,
  routes,
  WSA,
  wsaName,
} from '../../machines/index.ts';
import { banner, code, table } from './markdown.ts';

/** `overlappedRequest` -> `overlapped-request.ts` */
export const fileOf = (machine: MachineName): string =>
  `${machine.replaceAll(/[A-Z]/g, (capital) => `-${capital.toLowerCase()}`)}.ts`;

const sourceOf = (machine: MachineName): string =>
  readFileSync(new URL(`../../machines/${fileOf(machine)}`, import.meta.url), 'utf8');

/** The comment at the top of a machine's file, in paragraphs. */
function topComment(source: string): string[] {
  const [, comment] = /^\/\*\*\n([\s\S]*?)\n \*\//.exec(source) ?? [];
  if (comment === undefined) throw new Error('a machine file begins with its comment');
  const text = comment
    .split('\n')
    .map((line) => line.replace(/^ \* ?/, ''))
    .join('\n');
  return text.split('\n\n');
}

/** What a machine is, in one sentence, from the top of its file. */
export function summaryOf(machine: MachineName): string {
  const [first] = topComment(sourceOf(machine));
  const text = first!.replaceAll('\n', ' ').replace(/^[^:]+: /, '');
  return `${text.slice(0, 1).toUpperCase()}${text.slice(1)}`;
}

/** One-paragraph comments on names in the part of `source` behind `heading: {`, by name. */
export function commentsIn(source: string, heading: string): ReadonlyMap<string, string> {
  const begin = source.indexOf(`${heading}: {`);
  const end = Math.min(
    ...['\n    },\n    events: {', '\n  events: {', 'effects: {', '\n    },\n  }', '\n  },\n} as const']
      .map((mark) => source.indexOf(mark, begin + heading.length + 3))
      .filter((at) => at >= 0),
  );
  const found = new Map<string, string>();
  for (const [, comment, name] of source
    .slice(begin, end)
    .matchAll(/\/\*\*((?:[^*]|\*(?!\/))*)\*\/\s*'?([\w.]+)'?:/g)) {
    const text = comment!.replaceAll(/\s*\n\s*\*\s?/g, ' ').replaceAll(/\{@link (\w+)\}/g, '$1');
    found.set(name!, text.trim());
  }
  return found;
}

function domainText(domain: Domain): string {
  if (domain.kind === 'oneOf') return domain.values.map(valueText).join(', ');
  const { low, high } = bounds(domain);
  const text =
    low === high ? valueText(low) : low === 0 && high === 1 ? '0 or 1' : `${valueText(low)} to ${valueText(high)}`;
  return domain.kind === 'carried' ? `${text}, carried` : text;
}
const errors = new Set<number>(Object.values(WSA));
function valueText(value: number): string {
  if (value === 0x7fff_ffff) return '2^31 - 1';
  if (value === 0xffff_ffff) return '2^32 - 1';
  return errors.has(value) && value > 990 ? wsaName(value) : String(value);
}

/** A row for each event or effect of a contract: name, parameters, what `more` adds, and its comment. */
export function signatureRows(
  signature: Contract['events'],
  comments: ReadonlyMap<string, string>,
  more: (name: string) => readonly string[],
): string[][] {
  return Object.entries(signature).map(([name, parameters]) => [
    code(name),
    Object.entries(parameters)
      .map(([parameter, domain]) => `${code(parameter)}: ${domainText(domain)}`)
      .join('; '),
    ...more(name),
    comments.get(name) ?? '',
  ]);
}

/** Where a routed event goes, in words. */
const rowsText: Readonly<Record<Exclude<Rows, object>, string>> = {
  self: 'itself',
  provider: 'the provider',
  socket: 'its socket',
  sameRow: 'the same row',
  sendQueue: 'its send queue',
  receiveQueue: 'its receive queue',
  queue: 'its queue',
  listener: 'its listener',
  sendRequests: 'each of its send requests',
  receiveRequests: 'each of its receive requests',
  requestIfOldest: 'that request if it is the oldest',
  nextOldest: 'the next oldest request',
  oldestHeldRequest: 'its oldest held request',
  connectionRequests: 'each of its connection requests',
  oldestUndecided: 'its oldest undecided request',
  newestUndecided: 'its newest undecided request',
  buffers: 'each of its registrations',
  pinnedBuffers: 'each registration that it pinned',
};
function routeText(route: Route): string {
  if (route === 'perform') return 'the driver';
  if ('append' in route) return `joins the list ${route.append}`;
  if ('leave' in route) return `leaves the list ${route.leave}`;
  if ('pin' in route) return 'remembered as pinned';
  const to = typeof route.to === 'object' ? `the row in ${code(route.to.argument)}` : rowsText[route.to];
  return `${code(route.send)} to ${to}`;
}
function leadsTo(machine: MachineName, effect: string): string {
  const found = routes[machine][effect] ?? ['perform'];
  return found.length === 0 ? 'nothing' : found.map(routeText).join('; ');
}

const stateCount = (states: readonly ChartState[]): number =>
  states.reduce((sum, { children }) => sum + 1 + stateCount(children), 0);

/** Bytes of the tables that decide a machine's steps. */
const tableBytes = ({ dispatch, code: programs }: CompiledMachine): number => dispatch.byteLength + programs.byteLength;

/** The page. */
export function machinesPage(): string {
  const definitions = defineMachines(productionLimits);
  const compiled = compileMachines(productionLimits);
  const counts = machineNames.map((name, index) => {
    const chart = chartOf(definitions[name]);
    const { configurations } = compiled[index]!;
    return {
      name,
      chart,
      numbers: [stateCount(chart.states), configurations.length, chart.transitionCount, tableBytes(compiled[index]!)],
    };
  });

  const lines = [
    banner,
    '',
    '# Machines',
    '',
    'All machines with the limits of production. A *configuration* is a state with no other inside it that a machine can be',
    'in; *transitions* are counted as written, one for each guarded alternative; *table bytes* are the dispatch table and',
    'the programs that it leads to. In a diagram `.name` is a parameter of the event and `name` a field of the context.',
    '',
    table(
      ['Machine', 'What it is', 'States', 'Configurations', 'Transitions', 'Table bytes'],
      counts.map(({ name, numbers }) => [`[${name}](#${name.toLowerCase()})`, summaryOf(name), ...numbers.map(String)]),
    ),
  ];
  for (const { name, chart, numbers } of counts) {
    const source = sourceOf(name);
    const { contract } = definitions[name];
    const [, ...paragraphs] = topComment(source);
    const [states, configurations, transitions, bytes] = numbers;
    lines.push('', `## ${name}`, '', summaryOf(name), '', ...paragraphs.flatMap((text) => [text, '']));
    lines.push(
      `[Source](../machines/${fileOf(name)}) · [diagram](diagrams/${name}.svg) · [Mermaid](diagrams/${name}.mmd) ·`,
      `${states} states, ${configurations} configurations, ${transitions} transitions, ${bytes} table bytes`,
      '',
      `[![${name}](diagrams/${name}.svg)](diagrams/${name}.svg)`,
    );
    const fields = commentsIn(source, 'context');
    if (Object.keys(contract.context).length > 0) {
      lines.push(
        '',
        '### Context',
        '',
        table(
          ['Field', 'Range', 'At first', 'Meaning'],
          Object.entries(contract.context).map(([field, { domain, initial }]) => [
            code(field),
            domainText(domain),
            String(initial),
            fields.get(field) ?? '',
          ]),
        ),
      );
    }
    lines.push(
      '',
      '### Events',
      '',
      table(
        ['Event', 'Parameters', 'Meaning'],
        signatureRows(contract.events, commentsIn(source, 'events'), () => []),
      ),
      '',
      '### Effects',
      '',
      table(
        ['Effect', 'Arguments', 'Leads to', 'Meaning'],
        signatureRows(contract.effects, commentsIn(source, 'effects'), (effect) => [leadsTo(name, effect)]),
      ),
    );
    if (chart.answered.length > 0) {
      lines.push(
        '',
        '### Only answered',
        '',
        'Not in the diagram: the state stays, and so does its memory.',
        '',
        table(
          ['State', 'Events', 'Answer'],
          chart.answered.map(({ state, events, answer }) => [code(state), events.map(code).join(', '), answer]),
        ),
      );
    }
    if (chart.ignored.length > 0) {
      lines.push(
        '',
        '### Ignored',
        '',
        'Not in the diagram: expected, and changes nothing.',
        '',
        table(
          ['State', 'Events'],
          chart.ignored.map(({ state, events }) => [code(state), events.map(code).join(', ')]),
        ),
      );
    }
  }
  return `${lines.join('\n')}\n`;
}
