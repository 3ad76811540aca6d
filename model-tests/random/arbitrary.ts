/** Random worlds and random actions, for fast-check. */

import fc from 'fast-check';
import type { FaultPlan } from '../../driver/index.ts';
import { FD_ACCEPT, FD_CONNECT, WSA } from '../../machines/index.ts';
import type { Action, HostIndex, Setup, UpcallName } from './action.ts';
import { LiveGround, type LiveGroundOptions } from './ground.ts';
import { World, type WorldOptions } from './world.ts';

const host: fc.Arbitrary<HostIndex> = fc.constantFrom(0, 1);
const pick = fc.nat(63);

const chance = fc.constantFrom(0.05, 0.3, 1);
const occurrence = fc.oneof(
  chance,
  fc.array(fc.integer({ min: 1, max: 6 }), { minLength: 1, maxLength: 2 }).map((at) => ({ at })),
);
const ms = (max: number) => fc.constantFrom(1_000, 1_000_000, max * 1_000_000);

/** Faults of one host: one or two kinds at a time, so that each is met in otherwise healthy worlds. */
const faults: fc.Arbitrary<Partial<FaultPlan>> = fc
  .array(
    fc.oneof(
      fc.record({
        outOfResources: fc
          .tuple(
            fc.constantFrom(
              'allocateProtectionDomain',
              'registerMemory',
              'listen',
              'createConnector',
              'connect',
              'prepareAccept',
              'accept',
              'post',
            ),
            occurrence,
          )
          .map(([call, when]) => ({ [call]: when })),
      }),
      fc.record({ messageLost: occurrence }),
      fc.record({ connectionLost: occurrence }),
      // Never always: a message that no receive ever meets is tried again for ever.
      fc.record({ receiverNotReady: fc.constantFrom(0.05, 0.3, 0.8) }),
      fc.record({ connectRequestLost: occurrence }),
      fc.record({ answerLost: occurrence }),
      fc.record({ confirmationLost: occurrence }),
      fc.record({ withdrawalLost: occurrence }),
      fc.record({ disconnectedLost: occurrence }),
      fc.record({ disconnectedDoubled: occurrence }),
      fc.record({ disconnectedEchoed: occurrence }),
      fc.record({ disconnectOvertakes: occurrence }),
      fc.record({ eventLate: occurrence, eventLateNsMax: ms(100) }),
      fc.record({ flushDelayNsMax: ms(3_000) }),
      fc.record({ lateSuccess: occurrence, disconnectedLost: occurrence }),
      fc.record({ connectionDelayNsMax: ms(5) }),
      fc.record({ deviceRemovedDoubled: occurrence }),
    ),
    { minLength: 1, maxLength: 2 },
  )
  .map((plans) => Object.assign({}, ...plans) as Partial<FaultPlan>);
const noFaults = fc.constant<Partial<FaultPlan>>({});

/** A world; half of them healthy. */
export const setupArbitrary: fc.Arbitrary<Setup> = fc.record({
  seed: fc.nat(0xffff),
  latencyNs: fc.constantFrom(2_000, 0, 50_000),
  jitterNs: fc.constantFrom(0, 20_000),
  receiverNotReady: fc.constantFrom('wait', 'wait', 'fail'),
  privateDataPadded: fc.boolean(),
  elementsMax: fc.constantFrom(4, 4, 4, 4, 1, 2),
  isShallow: fc.constantFrom(false, false, false, true),
  pureSan: fc.boolean(),
  pairs: fc.constantFrom(1, 0, 2),
  stage: fc.constantFrom(2, 0, 1, 3),
  ending: fc.constantFrom('close', 'cleanup'),
  faults: fc.oneof(
    { weight: 3, arbitrary: fc.tuple(noFaults, noFaults) },
    { weight: 1, arbitrary: fc.tuple(faults, noFaults) },
    { weight: 1, arbitrary: fc.tuple(noFaults, faults) },
    { weight: 1, arbitrary: fc.tuple(faults, faults) },
  ),
});

const of = <T extends Action['type']>(
  type: T,
  parts: { [K in Exclude<keyof Extract<Action, { type: T }>, 'type'>]: fc.Arbitrary<Extract<Action, { type: T }>[K]> },
): fc.Arbitrary<Action> =>
  fc.record(parts as Record<string, fc.Arbitrary<unknown>>).map((rest) => ({ type, ...rest }) as unknown as Action);

const transfer = (operation: fc.Arbitrary<'send' | 'recv' | 'write' | 'read'>) =>
  of('transfer', {
    host,
    s: pick,
    operation,
    length: fc.oneof(
      { weight: 20, arbitrary: fc.integer({ min: 1, max: 64 }) },
      { weight: 1, arbitrary: fc.constantFrom(256, 257, 400) },
    ),
    elements: fc.constantFrom(1, 1, 1, 2, 3),
    notify: fc.boolean(),
    flaw: fc.oneof(
      { weight: 20, arbitrary: fc.constant('none' as const) },
      {
        weight: 1,
        arbitrary: fc.constantFrom('empty', 'flags', 'tooLong', 'unregistered', 'busy', 'malformed' as const),
      },
    ),
    r: pick,
  });
const recv = transfer(fc.constant('recv')).map((action) =>
  // Mostly large enough for whatever comes.
  action.type === 'transfer' && action.length % 16 !== 0 ? { ...action, length: 400 } : action,
);

/** How often what: the more, the more often. */
const simple: readonly (readonly [weight: number, fc.Arbitrary<Action>])[] = [
  [16, transfer(fc.constant('send'))],
  [20, recv],
  [8, transfer(fc.constantFrom('write', 'read'))],
  [6, of('outcome', { host, s: pick, r: pick })],
  [10, of('poll', { host })],
  [3, of('network', { instants: fc.integer({ min: 1, max: 4 }) })],
  [8, of('settle', {})],
  [2, of('pass', { ms: fc.constantFrom(1, 20, 2_000, 10_000, 30_000) })],
  [2, of('socket', { host })],
  [2, of('bind', { host, s: pick, port: fc.constantFrom(-1, 0, 1) })],
  [2, of('listen', { host, s: pick, backlog: fc.constantFrom(2, 1, 5, -1) })],
  [3, of('connect', { host, s: pick, target: fc.constantFrom(0, 0, 0, 1, 1, 2, 3, 4) })],
  [
    3,
    of('select', {
      host,
      s: pick,
      mask: fc.constantFrom(FD_ACCEPT | FD_CONNECT, FD_ACCEPT, FD_CONNECT, 0, 1),
    }),
  ],
  [5, of('events', { host, s: pick, reset: fc.boolean() })],
  [6, of('accept', { host, s: pick, verdict: fc.constantFrom(0, 0, 0, 1, 2, 7) })],
  [2, of('close', { host, s: pick })],
  [2, of('duplicate', { host, s: pick, ours: fc.constantFrom(true, true, true, false) })],
  [4, of('takeOver', { host, t: pick })],
  [4, of('register', { host, s: pick, part: fc.constantFrom(0, 0, 0, 1, 2), access: fc.constantFrom(3, 3, 3, 1, 2) })],
  [2, of('registerRdma', { host, s: pick, access: fc.constantFrom(3, 3, 1, 2) })],
  [2, of('deregister', { host, s: pick, r: pick })],
  [1, of('option', { host, s: pick, set: fc.boolean() })],
  [1, of('startup', { host, version: fc.constantFrom(0x0202, 0x0101) })],
  [1, of('refuseHandle', { host, error: fc.constantFrom(WSA.WSAENOBUFS, WSA.WSAEMFILE) })],
];
const rare: readonly (readonly [weight: number, fc.Arbitrary<Action>])[] = [
  [6, of('pair', { host, stage: fc.constantFrom(2, 0, 1, 1, 3) })],
  [1, of('cleanup', { host })],
  [1, of('failCompletions', { host, on: fc.boolean() })],
];
const removal: fc.Arbitrary<Action> = of('remove', { host, told: fc.boolean() });

const weighted = (list: readonly (readonly [number, fc.Arbitrary<Action>])[]) =>
  list.map(([weight, arbitrary]) => ({ weight, arbitrary }));
const upcalls: readonly UpcallName[] = ['complete', 'complete', 'create', 'closeHandle', 'set', 'reset', 'condition'];
const arm = of('arm', {
  host,
  upcall: fc.constantFrom(...upcalls),
  actions: fc.array(fc.oneof(...weighted([...simple, ...rare])), { minLength: 1, maxLength: 3 }),
});

const possibleAnywhere = [
  ...weighted(simple.map(([weight, arbitrary]) => [2 * weight, arbitrary] as const)),
  ...weighted(rare),
  { weight: 8, arbitrary: arm },
];

/** One action. */
export const actionArbitrary: fc.Arbitrary<Action> = fc.oneof(
  ...possibleAnywhere,
  { weight: 1, arbitrary: removal },
  { weight: 3, arbitrary: of('removeListener', { host, s: pick }) },
);
/** One action that can be made to happen over real adapters. */
const liveActionArbitrary: fc.Arbitrary<Action> = fc.oneof(...possibleAnywhere);

/** What fast-check's model runs act on: the model is the world's own. */
abstract class ActionCommand {
  readonly action: Action;
  constructor(action: Action) {
    this.action = action;
  }
  toString(): string {
    return JSON.stringify(this.action);
  }
}
class SimulatedCommand extends ActionCommand implements fc.Command<World, World> {
  check(): boolean {
    return true;
  }
  run(world: World): void {
    world.now(world.perform(this.action));
  }
}
class LiveCommand extends ActionCommand implements fc.AsyncCommand<World, World, boolean> {
  async check(): Promise<boolean> {
    return true;
  }
  run(world: World): Promise<void> {
    return world.live(world.perform(this.action));
  }
}

/** Actions of one run at most; half as many on average. */
const COMMANDS_MAX = 100;

/** Runs that a property was tried on, and what happened in them. */
export interface Tally {
  runs: number;
  readonly counts: Map<string, number>;
}

/**
 * The property that random runs have: nothing is found.
 *
 * @param replayPath - of `fc.commands`, from an earlier failure
 */
export function nothingIsFound(options: WorldOptions, tally: Tally, replayPath?: string) {
  const commands = fc.commands(
    [actionArbitrary.map((action) => new SimulatedCommand(action))],
    constraints(replayPath),
  );
  return fc.property(setupArbitrary, commands, (setup, sequence) => {
    tally.runs++;
    const world = new World(setup, options);
    world.now(world.begin());
    fc.modelRun(() => ({ model: world, real: world }), sequence);
    world.now(world.finish());
    count(tally, world);
  });
}

/** As {@link nothingIsFound}, over real adapters: no faults but those that the switches make. */
export function nothingIsFoundOver(
  ground: LiveGroundOptions,
  options: WorldOptions,
  tally: Tally,
  replayPath?: string,
) {
  const commands = fc.commands([liveActionArbitrary.map((action) => new LiveCommand(action))], constraints(replayPath));
  return fc.asyncProperty(setupArbitrary, commands, async (anywhere, sequence) => {
    tally.runs++;
    const live = new LiveGround(ground);
    try {
      const world = new World(live.setup(anywhere), { ...options, ground: () => live });
      await world.live(world.begin());
      await fc.asyncModelRun(() => ({ model: world, real: world }), sequence);
      await world.live(world.finish());
      count(tally, world);
    } finally {
      live.close();
    }
  });
}

const constraints = (replayPath: string | undefined): fc.CommandsContraints => ({
  maxCommands: COMMANDS_MAX,
  size: 'max',
  ...(replayPath === undefined ? {} : { replayPath }),
});

function count({ counts }: Tally, world: World): void {
  for (const [what, often] of world.counts) counts.set(what, (counts.get(what) ?? 0) + often);
}

/**
 * What a failure says: the command that makes its run again, alone; the run as data; and what was found.
 *
 * @param test - the file of it
 */
export function failureText<Sequence extends Iterable<unknown>>(
  found: fc.RunDetails<[Setup, Sequence]>,
  test = 'model-tests/random/random.test.ts',
): string {
  const [setup, sequence] = found.counterexample ?? [];
  const replay = /replayPath="([^"]*)"/.exec(String(sequence))?.[1];
  const actions = [...(sequence ?? [])].map((command) => `    ${String(command)}`);
  return [
    `found after ${found.numRuns} runs; the same run alone:`,
    `WSD_SEED=${found.seed} WSD_PATH=${found.counterexamplePath} WSD_REPLAY='${replay}' npm test -- ${test}`,
    `{\n  "setup": ${JSON.stringify(setup)},\n  "actions": [\n${actions.join(',\n')}\n  ]\n}`,
    found.errorInstance instanceof Error ? found.errorInstance.stack : String(found.errorInstance),
  ].join('\n\n');
}
