/** What a page that opens journals does: replays one, judges it, draws it. Imported by no test: {@link main} runs in a realm. */

import { checkTrace } from '../../driver/check/trace.ts';
import { toSequenceDiagram } from '../../driver/diagram.ts';
import { readJournal } from '../../driver/journal/reader.ts';
import { replayJournal } from '../../driver/replay.ts';
import { machineNames } from '../../machines/index.ts';

/** @param bytes - a journal @returns what can be compared with the same done elsewhere */
export function main(bytes: Uint8Array) {
  const contents = readJournal(bytes);
  const { verdict } = replayJournal(contents);
  const { broken } = checkTrace(contents);
  return { machines: machineNames, verdict, broken, diagram: toSequenceDiagram(contents) };
}
