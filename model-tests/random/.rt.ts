import fc from 'fast-check';
import { nothingIsFound } from '/work/main/model-tests/random/arbitrary.ts';
const tally = { runs: 0, counts: new Map() };
const runs = Number(process.argv[2] ?? 200);
const t = performance.now();
const r = fc.check(nothingIsFound({}, tally), {
  numRuns: runs,
  ...(process.argv[3] ? { seed: Number(process.argv[3]) } : {}),
  interruptAfterTimeLimit: 500_000,
});
console.log(
  'runs',
  tally.runs,
  'ms',
  (performance.now() - t).toFixed(0),
  'failed',
  r.failed,
  'seed',
  r.seed,
  'path',
  r.counterexamplePath,
);
if (r.failed) {
  const [setup, cmds] = r.counterexample;
  console.log(JSON.stringify(setup));
  console.log(String(cmds).replaceAll('},{', '},\n{'));
  console.log(r.errorInstance?.stack);
}
if (process.argv[4]) for (const k of [...tally.counts.keys()].sort()) console.log(k, tally.counts.get(k));
