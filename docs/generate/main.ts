/** `npm run docs`, first part: writes the generated pages. TypeDoc then writes docs/api/. */

import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { checkingPage } from '../../model-tests/check/report.ts';
import { iwarpPage } from './iwarp-page.ts';
import { machinePages } from './pages.ts';
import { demoOutput, readmeFile, withOutput } from './readme.ts';
import { coveragePage } from './spi-coverage.ts';

const docs = fileURLToPath(new URL('..', import.meta.url));
const iwarp = iwarpPage(readFileSync(path.join(docs, 'iwarp.md'), 'utf8'));
for (const [name, text] of [
  ...(await machinePages()),
  ['spi-coverage.md', coveragePage()] as const,
  ['iwarp.md', iwarp] as const,
  ['checking.md', await checkingPage()] as const,
]) {
  const file = path.join(docs, name);
  // Files that are up to date keep their time.
  if (existsSync(file) && readFileSync(file, 'utf8') === text) continue;
  mkdirSync(path.dirname(file), { recursive: true });
  writeFileSync(file, text);
  console.log(`docs/${name}`);
}
const readme = readFileSync(readmeFile, 'utf8');
const changed = withOutput(readme, demoOutput());
if (changed !== readme) {
  writeFileSync(readmeFile, changed);
  console.log('README.md');
}
