/** What a case has to say to people though nothing is wrong: how much was done, and what couldn't be. */

import { writeSync } from 'node:fs';

/** Starts a line that the test run shows, as JSON. */
export const NOTE_MARK = '@note ';

/** Shows `text` to whoever runs the tests. */
export function note(text: string): void {
  writeSync(1, `${NOTE_MARK}${JSON.stringify(text)}\n`);
}
