/**
 * What a machine is really asked: every (configuration, memory, event, parameters) that its rows were stepped with.
 *
 * A mutant that answers all of them as the original does leads to the same states by the same edges: nothing that was
 * watched can tell the two apart. That is an exact test, and quicker than any search.
 */

import { type CompiledMachine, EFFECT_STRIDE, MachineRows, type System } from '../../machines/index.ts';

type Parameters = readonly [number, number, number, number, number];

/** One question to a machine. */
export interface Input {
  readonly configuration: number;
  readonly memory: readonly number[];
  readonly event: number;
  readonly parameters: Parameters;
}

/** A machine's questions, each once. */
export class Inputs {
  readonly list: Input[] = [];
  readonly #known = new Set<string>();

  add(configuration: number, memory: readonly number[], event: number, parameters: Parameters): void {
    const key = `${configuration};${memory};${event};${parameters}`;
    if (this.#known.has(key)) return;
    this.#known.add(key);
    this.list.push({ configuration, memory, event, parameters });
  }
}

/** Writes down from now on what the machines of `system` are asked. */
export function watchInputs(system: System<string>, into: readonly Inputs[]): void {
  system.watch({
    before: (machine, row, event, ...parameters) => {
      const { states, columns } = system.rows[machine]!;
      into[machine]?.add(
        states[row]!,
        columns.map((column) => column[row]!),
        event,
        parameters,
      );
    },
    after: () => {},
  });
}

/** Effects that done twice in a row are as done once, and who says so. */
const idempotent: Readonly<Record<string, string>> = {
  disconnect: 'harmless when called twice (driver/adapter/adapter.ts)',
  destroyConnector: 'without a connector there is nothing to destroy (driver/perform.ts)',
  stopTimer: "no effect when it isn't running (driver/clock.ts)",
  leaveQueue: 'who is in no list leaves none (machines/router.ts)',
  leaveOrder: 'the same',
  freeBuffers: 'what was freed is not there any more (driver/perform.ts)',
  ignored: 'nothing',
};

/**
 * What a machine answers: whether, where to, with which memory and effects. Of several answers to one call the first
 * stands, so those behind it say nothing; and what is idempotent says nothing when it is said again at once.
 */
class Answerer {
  readonly #rows: MachineRows;
  readonly #answer: number;
  readonly #sink: { buffer: Float64Array; top: number };

  constructor(machine: CompiledMachine) {
    this.#sink = { buffer: new Float64Array((machine.effectsMax + 1) * EFFECT_STRIDE), top: 0 };
    this.#rows = new MachineRows(machine, 0, this.#sink);
    this.#answer = machine.effects.findIndex(({ name }) => name === 'answer');
  }

  /** @param ordered - whether the order of the effects is part of the answer */
  answer(configuration: number, { memory, event, parameters }: Input, ordered: boolean): string {
    const rows = this.#rows;
    rows.place(0, configuration, memory);
    this.#sink.top = 0;
    if (rows.step(0, event, ...parameters) === 0) return 'refused';
    const effects: string[] = [];
    let isAnswered = false;
    for (let at = 0; at < this.#sink.top; at += EFFECT_STRIDE) {
      const effect = this.#sink.buffer[at]!;
      if (effect === this.#answer && isAnswered) continue;
      isAnswered ||= effect === this.#answer;
      const { length } = rows.machine.effects[effect]!.parameters;
      const said = `${effect}(${this.#sink.buffer.subarray(at + 2, at + 2 + length)})`;
      if (said === effects.at(-1) && rows.machine.effects[effect]!.name in idempotent) continue;
      effects.push(said);
    }
    if (!ordered) effects.sort();
    // Whose machine is over is a new row.
    if (rows.machine.final[rows.states[0]!] === 1) rows.create(0);
    return `${rows.stateName(0)};${rows.columns.map((column) => column[0]!)};${effects}`;
  }
}

/**
 * Whether `mutant` answers some of `inputs` otherwise than `original`, or has no such configuration.
 *
 * @param ordered - whether the order of effects is part of an answer
 */
export function differs(
  original: CompiledMachine,
  mutant: CompiledMachine,
  inputs: readonly Input[],
  ordered: boolean,
): boolean {
  const [right, other] = [new Answerer(original), new Answerer(mutant)];
  const places = original.configurations.map((name) => mutant.configurations.indexOf(name));
  // What a refusal by `meta` says is asked of configurations, not of steps.
  for (const { configuration } of inputs) {
    const place = places[configuration]!;
    if (place < 0 || mutant.refusals[place] !== original.refusals[configuration]) return true;
  }
  return inputs.some(
    (input) =>
      right.answer(input.configuration, input, ordered) !== other.answer(places[input.configuration]!, input, ordered),
  );
}

/** Effects that a machine asks for when it is asked `inputs`. */
export function effectsOf(machine: CompiledMachine, inputs: readonly Input[]): ReadonlySet<string> {
  const sink = { buffer: new Float64Array((machine.effectsMax + 1) * EFFECT_STRIDE), top: 0 };
  const rows = new MachineRows(machine, 0, sink);
  const found = new Set<string>();
  for (const { configuration, memory, event, parameters } of inputs) {
    rows.place(0, configuration, memory);
    sink.top = 0;
    rows.step(0, event, ...parameters);
    for (let at = 0; at < sink.top; at += EFFECT_STRIDE) found.add(machine.effects[sink.buffer[at]!]!.name);
  }
  return found;
}

/**
 * What a machine can be asked alone: every event with every deciding value in every state that it can come to.
 *
 * @param events - events with parameters
 * @param isPossible - whether the rest of the system can send it there
 */
export function inputsAlone(
  machine: CompiledMachine,
  events: readonly { readonly index: number; readonly params: readonly number[] }[],
  isPossible: (configuration: number, memory: readonly number[], event: number) => boolean,
): Inputs {
  const found = new Inputs();
  const sink = { buffer: new Float64Array((machine.effectsMax + 1) * EFFECT_STRIDE), top: 0 };
  const rows = new MachineRows(machine, 0, sink);
  const initial = { configuration: 0, memory: machine.fields.map((field) => field.initial) };
  const open = [initial];
  const known = new Set([JSON.stringify(initial)]);
  for (const { configuration, memory } of open) {
    if (machine.final[configuration] === 1) continue;
    for (const [number, { index, params }] of events.entries()) {
      if (!isPossible(configuration, memory, number)) continue;
      const parameters = [0, 1, 2, 3, 4].map((at) => params[at] ?? 0) as unknown as Parameters;
      rows.place(0, configuration, memory);
      sink.top = 0;
      found.add(configuration, memory, index, parameters);
      if (rows.step(0, index, ...parameters) === 0) continue;
      const next = { configuration: rows.states[0]!, memory: rows.columns.map((column) => column[0]!) };
      const key = JSON.stringify(next);
      if (known.has(key)) continue;
      known.add(key);
      open.push(next);
    }
  }
  return found;
}
