/** The parts of README.md that a program says: what `npm run demo` prints. */

import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const readmeFile = fileURLToPath(new URL('../../README.md', import.meta.url));
const program = fileURLToPath(new URL('../../driver/cli/wsdirect.js', import.meta.url));

/** Runs the demo. @returns what it prints, indented, with its folder as it is by default */
export function demoOutput(): string {
  const folder = mkdtempSync('/tmp/wsdirect-demo-');
  try {
    const { status, stdout, stderr } = spawnSync(process.execPath, [program, 'demo', '--out', folder], {
      encoding: 'utf8',
    });
    if (status !== 0) throw new Error(`the demo ended with ${status}: ${stderr}`);
    return stdout.replaceAll(/^(?=.)/gm, '    ').trimEnd();
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** The block between two markers. */
const block = /(<!-- npm run demo -->\n)([\s\S]*?)(\n<!-- end -->)/;

/** What is the same in every run: all but numbers, the names that are made of them, and columns. */
export const withoutNumbers = (output: string): string =>
  output
    .replaceAll(/\b[0-9a-f]{64}\b/g, 'DIGEST')
    .replaceAll(path.posix.join('/tmp', 'wsdirect-demo-'), 'FOLDER-')
    .replaceAll(/FOLDER-\w{6}/g, 'FOLDER')
    .replaceAll(/\d+(\.\d+)?( (?:[um]?s|[kMG]?B\/s)\b)?/g, (_, __, unit) => (unit === undefined ? '#' : '# UNIT'))
    .replaceAll(/ +/g, ' ');

/** The block of `readme`. @throws Error when it has none */
export function shownOutput(readme: string): string {
  const [, , shown] = block.exec(readme) ?? [];
  if (shown === undefined) throw new Error('README.md has no place for what the demo prints');
  return shown;
}

/** `readme` with this output; unchanged when only numbers differ. */
export const withOutput = (readme: string, output: string): string =>
  withoutNumbers(shownOutput(readme)) === withoutNumbers(output)
    ? readme
    : readme.replace(block, (_, begin, __, end) => begin + output + end);
