/**
 * The generated parts of docs/iwarp.md, which is otherwise written by hand: its machines, the reasons of a Terminate, and
 * the table that leads from each requirement of the standards to code and tests.
 */

import { readFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { Terminate, type TerminateReason } from '../../driver/adapter/iwarp/terminate.ts';
import {
  chartOf,
  createIwarpStreamMachine,
  createMpaStartupMachine,
  type MachineDefinition,
} from '../../machines/index.ts';
import { sections } from './iwarp-requirements.ts';
import { code, table } from './markdown.ts';
import { commentsIn, signatureRows } from './machines-page.ts';
import { type CitingTest, citingTests } from './spi-coverage.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const read = (file: string): string => readFileSync(path.join(root, file), 'utf8');

/** How tests name a section of a standard. */
const CITATION = /\[RFC \d{4} [\d.]+\]/g;

/** The adapter's machines, in the order of a connection's life, with a sentence for their pictures. */
export const iwarpMachines: Readonly<
  Record<string, { readonly definition: MachineDefinition; readonly summary: string }>
> = {
  mpaStartup: {
    definition: createMpaStartupMachine(),
    summary: "MPA start-up, from the wish to connect or TCP's connection to the open stream.",
  },
  iwarpStream: {
    definition: createIwarpStreamMachine(),
    summary: 'The stream: data transfer, Terminate in both directions, and the end.',
  },
};

function machineParts(): string {
  const source = read('machines/iwarp.ts');
  const starts = ['const startupContract', 'const streamContract'].map((mark) => source.indexOf(mark));
  return Object.entries(iwarpMachines)
    .flatMap(([name, { definition, summary }], index) => {
      const own = source.slice(starts[index], starts[index + 1]);
      const { events, effects } = definition.contract;
      const { transitionCount, states } = chartOf(definition);
      return [
        `### ${name}`,
        '',
        `${summary} ${states.length} states, ${transitionCount} transitions.`,
        `[Source](../machines/iwarp.ts) · [Mermaid](diagrams/${name}.mmd)`,
        '',
        `[![${name}](diagrams/${name}.svg)](diagrams/${name}.svg)`,
        '',
        table(
          ['Event', 'Parameters', 'Meaning'],
          signatureRows(events, commentsIn(own, 'events'), () => []),
        ),
        '',
        table(
          ['Effect', 'Arguments', 'Meaning'],
          signatureRows(effects, commentsIn(own, 'effects'), () => []),
        ),
        '',
      ];
    })
    .join('\n');
}

const headersText: Readonly<Record<TerminateReason['headers'], string>> = {
  none: 'nothing',
  ddp: 'its DDP header',
  rdmap: "its DDP header, and a read request's content",
};

function terminatePart(): string {
  const reasons = Object.entries(Terminate) as [string, TerminateReason][];
  return table(
    ['Reason', 'Layer, type, code', 'Source', 'Sent for', 'Of the segment'],
    reasons.map(([name, { layer, type, code: number, source, when, because, headers }]) => [
      code(name),
      `${layer}, ${type}, 0x${number.toString(16).padStart(2, '0')}`,
      source,
      when ?? `never: ${because}`,
      headersText[headers],
    ]),
  );
}

/** `path#name` as a link. @throws Error when the file has no such name */
function codeLink(place: string): string {
  const [file, name] = place.split('#') as [string, string];
  if (!read(file).includes(name)) throw new Error(`${file} has no ${name}`);
  return `[${name}](../${file})`;
}

/** Requirements with their tests, and what is wrong with the list: a section that no test names, or that tests alone do. */
export function iwarpCoverage(): { readonly rows: readonly string[][]; readonly problems: readonly string[] } {
  const tests = citingTests(CITATION);
  const testsOf = (id: string): readonly CitingTest[] => tests.filter(({ ids }) => ids.includes(`[${id}]`));
  const rows = sections.map(({ id, statement, code: places }) => [
    id,
    statement,
    places.map(codeLink).join(', '),
    testsOf(id)
      .map(
        ({ file, title }) =>
          `[${path.basename(file)}](../${file}): ${title
            .replaceAll(CITATION, '')
            .replaceAll(/ +(?=[ :,]|$)/g, '')
            .trim()}`,
      )
      .join('<br>'),
  ]);
  const known = new Set(sections.map(({ id }) => `[${id}]`));
  const unknown = tests.flatMap(({ file, ids }) =>
    ids.filter((id) => !known.has(id)).map((id) => `${file} names ${id}`),
  );
  return {
    rows,
    problems: [
      ...sections.filter(({ id }) => testsOf(id).length === 0).map(({ id }) => `no test names ${id}`),
      ...unknown,
    ],
  };
}

function requirementsPart(): string {
  return table(['Section', 'What it requires', 'Code', 'Tests'], iwarpCoverage().rows);
}

const parts: Readonly<Record<string, () => string>> = {
  machines: machineParts,
  terminate: terminatePart,
  requirements: requirementsPart,
};

/** @param page - with `<!-- generated: NAME -->` and `<!-- end of NAME -->` around each part. @returns it with new parts */
export function iwarpPage(page: string): string {
  let text = page;
  for (const [name, make] of Object.entries(parts)) {
    const [begin, end] = [`<!-- generated: ${name} -->\n`, `<!-- end of ${name} -->`];
    const from = text.indexOf(begin);
    const to = text.indexOf(end);
    if (from < 0 || to < from) throw new Error(`docs/iwarp.md has no place for ${name}`);
    text = `${text.slice(0, from + begin.length)}\n${make().trimEnd()}\n\n${text.slice(to)}`;
  }
  return text;
}
