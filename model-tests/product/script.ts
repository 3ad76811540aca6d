/**
 * A script: commands to a driver and its surroundings, and what must be seen of each; one a line.
 *
 *     # world: data, depth 1; path 3 of 41
 *     limits {"startupsMax":1,...}
 *     send A r0 polled
 *       post r0
 *       WSPSend = 997
 *       r0: in progress
 *
 * A line without indentation is a command, the indented ones below it are predictions, in their order. Sockets are
 * letters (A is the model's socket 0), requests r0, r1, ..., registrations b0, ..., arrivals p0, .... A command that
 * begins with `network` is for whoever plays the network; a driver notices nothing of it.
 */

import type { Limits } from '../../machines/index.ts';

/** One command and what is seen of it. */
export interface Line {
  /** `send A r0 polled` */
  readonly command: string;
  readonly expected: readonly string[];
}

/** Everything that a run needs: no model is asked again. */
export interface Script {
  /** Where it comes from, for people. */
  readonly title: string;
  readonly limits: Limits;
  readonly lines: readonly Line[];
}

export const socketName = (row: number): string => String.fromCharCode(65 + row);

/** What WSPEnumNetworkEvents reports: the error of each event, or null for one that isn't on record. */
export function eventsLine(accept: number | null, connect: number | null): string {
  const told = (name: string, error: number | null): string => (error === null ? '' : ` ${name} ${error}`);
  // A request carries no error.
  return `events${accept === 0 ? ' accept' : told('accept', accept)}${told('connect', connect)}`;
}

/** `script` as text, one command or prediction a line. */
export function formatScript({ title, limits, lines }: Script): string {
  return [
    `# ${title}`,
    `limits ${JSON.stringify(limits)}`,
    ...lines.flatMap(({ command, expected }) => [command, ...expected.map((line) => `  ${line}`)]),
    '',
  ].join('\n');
}

/** @throws Error naming the line that is no part of a script */
export function parseScript(text: string): Script {
  const titles: string[] = [];
  let limits: Limits | null = null;
  const lines: { command: string; expected: string[] }[] = [];
  for (const [index, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue;
    if (line.startsWith('#')) titles.push(line.slice(1).trim());
    else if (line.startsWith('limits ')) limits = JSON.parse(line.slice('limits '.length)) as Limits;
    else if (!line.startsWith('  ')) lines.push({ command: line, expected: [] });
    else if (lines.length > 0) lines.at(-1)!.expected.push(line.slice(2));
    else throw new Error(`line ${index + 1}: a prediction before any command`);
  }
  if (limits === null) throw new Error("a script has a line 'limits {...}'");
  return { title: titles.join(' '), limits, lines };
}
