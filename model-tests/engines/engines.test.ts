// Goal: engines that nobody here wrote say of our worlds what our explorer says.
// Method: small worlds of the catalogue, and one that is broken on purpose, through each engine: states, transitions,
// depth and verdicts are the same; what an engine finds broken is broken when its path is replayed here, and as short.

import { strict as assert } from 'node:assert';
import { describe, test } from 'vitest';
import { routes } from '../../machines/index.ts';
import { EVERY_EVENT, explore, type Found, type Property, replay, type WorldDefinition } from '../explorer/index.ts';
import { worlds } from '../worlds/index.ts';
import { listenerProperties } from '../worlds/listener.ts';
import { listening } from '../worlds/listening.ts';
import { type EngineResult, missingTools } from './engine.ts';
import { abcTools, runAbc } from './abc.ts';
import { rumurTools, runRumur } from './rumur.ts';
import { runSpin, spinLeadsTo, spinTools } from './spin.ts';
import { swarm } from './swarm.ts';

/** A test that needs programs: without them it is skipped, and says so. */
function testWith(tools: readonly string[], name: string, work: () => Promise<void>): void {
  const missing = missingTools(...tools);
  if (missing.length > 0) console.log(`skipped: ${name}: not installed: ${missing.join(', ')}`);
  test.skipIf(missing.length > 0)(name, work, 300_000);
}

const named = (name: string) => worlds.find((world) => world.name === name)!;

/** What both say must be the same. @returns how many verdicts were compared */
function agree(found: Found, result: EngineResult): number {
  for (const [ours, theirs] of [
    [found.states, result.states],
    [found.transitions, result.transitions],
    [found.depth, result.depth],
  ]) {
    if (theirs !== null) assert.equal(theirs, ours);
  }
  for (const { property, holds, path } of result.verdicts) {
    const verdict = found.verdicts.find((candidate) => candidate.property === property)!;
    assert.equal(holds, verdict.holds, property);
    if (path !== null) assert.equal(path.length, verdict.path.length, property);
  }
  return result.verdicts.length;
}

/** FD_ACCEPT is lost between enumeration and accept: whoever came before the end of an accept is announced to nobody. */
const lost = listening({
  name: 'lost',
  peers: 2,
  defer: false,
  routes: {
    ...routes,
    socket: {
      ...routes.socket,
      acceptEnded: [{ send: 'networkEvents/socket.acceptEnded', to: 'sameRow', with: ['accepted', 0] }],
    },
  },
});
const lostProperties = listenerProperties(2).filter(({ name }) => name.startsWith('L-05') || name.startsWith('S-27'));

/** A request's end is told to nobody who counts: the queue is drained and its socket waits for ever, or hears twice. */
const unexpected: WorldDefinition = {
  ...named('data, depth 1').definition,
  name: 'unexpected',
  routes: {
    ...routes,
    overlappedRequest: {
      ...routes.overlappedRequest,
      retire: [...routes.overlappedRequest['retire']!, { send: 'requestQueue/request.retired', to: 'queue' }],
    },
  },
};

/** Lets a path happen here: its last step breaks `property`, and none before. */
function assertBreaks(definition: WorldDefinition, property: Property | null, path: readonly number[]): void {
  const steps = replay(definition, path);
  const errors = steps.flatMap(({ error }) => error ?? []);
  assert.deepEqual(errors.length, property === null ? 1 : 0, errors.join());
  assert.equal(steps.length, path.length);
}

describe('Spin', () => {
  for (const name of ['start-up and clean-up', 'data, depth 1']) {
    testWith(spinTools, name, async () => {
      const { definition, properties } = named(name);
      const found = explore(definition, properties);
      assert.notEqual(agree(found, await runSpin(definition, properties)), 0);
    });
  }

  testWith(spinTools, 'what is broken is broken here, after as many steps', async () => {
    const found = explore(lost, lostProperties);
    const result = await runSpin(lost, lostProperties);
    agree(found, result);
    const broken = result.verdicts.filter(({ holds }) => !holds);
    assert.equal(broken.length, 1);
    const property = lostProperties.find((candidate) => candidate.name === broken[0]!.property)!;
    assertBreaks(lost, property, broken[0]!.path!);
    assert.equal(broken[0]!.path!.length, 6);
  });

  testWith(spinTools, 'an event that nobody expects', async () => {
    const found = explore(unexpected, []);
    const { verdicts } = await runSpin(unexpected, []);
    const [verdict] = verdicts;
    assert.equal(verdict!.property, EVERY_EVENT);
    assert.equal(verdict!.holds, false);
    assertBreaks(unexpected, null, verdict!.path!);
    assert.equal(verdict!.path!.length, found.verdicts[0]!.path.length);
  });

  testWith(spinTools, 'a swarm of two finds what is broken', async () => {
    const flights = await swarm(lost, lostProperties, { processes: 2, tableBits: 20 });
    assert.equal(flights.length, 2);
    for (const { path } of flights) assertBreaks(lost, lostProperties[0]!, path!);
  });

  testWith(spinTools, 'leads-to, fair and unfair', async () => {
    const { definition } = named('who keeps accepting');
    const property = named('who keeps accepting').properties.find(({ name }) => name.startsWith('L-06'))!;
    assert.ok(property.kind === 'leadsTo');
    for (const asked of [property, { ...property, name: 'unfair', fair: [] }]) {
      const { verdicts } = explore(definition, [asked]);
      const [theirs] = (await spinLeadsTo(definition, asked)).verdicts;
      assert.equal(theirs!.holds, verdicts.find(({ property: name }) => name === asked.name)!.holds);
      assert.equal(theirs!.holds, asked === property);
    }
  });
});

describe('Rumur', () => {
  testWith(rumurTools, 'start-up and clean-up', async () => {
    const { definition, properties } = named('start-up and clean-up');
    const found = explore(definition, properties);
    assert.notEqual(agree(found, await runRumur(definition, properties)), 0);
  });

  testWith(rumurTools, 'what is broken is broken here, after as many steps', async () => {
    const result = await runRumur(lost, lostProperties);
    agree(explore(lost, lostProperties), result);
    const broken = result.verdicts.filter(({ holds }) => !holds);
    assert.equal(broken.length, 1);
    assertBreaks(lost, lostProperties[0]!, broken[0]!.path!);
  });
});

describe('ABC', () => {
  testWith(abcTools, 'an unbounded proof, whose invariant a SAT solver checks', async () => {
    const { definition, properties } = named('start-up and clean-up');
    const result = await runAbc(definition, properties, { how: 'pdr' });
    assert.equal(result.verdict, 'proved');
    assert.notEqual(result.clauses, 0);
  });

  testWith(abcTools, 'the shortest way to a seeded bug, with few states searched before', async () => {
    const found = explore(lost, lostProperties);
    const shortest = Math.min(...found.verdicts.filter(({ holds }) => !holds).map(({ path }) => path.length));
    const { verdict, path } = await runAbc(lost, lostProperties, { how: { bmc: 10 }, learn: 200 });
    assert.equal(verdict, 'broken');
    assert.equal(path!.length, shortest);
    assertBreaks(lost, lostProperties[0]!, path!);
  });

  testWith(abcTools, 'some way to a seeded bug, without a proof that none is shorter', async () => {
    const { verdict, path } = await runAbc(lost, lostProperties, { how: { reach: 9 }, learn: 50, wander: 1000 });
    assert.equal(verdict, 'broken');
    assertBreaks(lost, lostProperties[0]!, path!);
    assert.ok(path!.length <= 9);
  });
});
