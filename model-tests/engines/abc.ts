/**
 * ABC: proves, or breaks, the safety of a world as a circuit, without enumerating its states.
 *
 * Theory of operation: inputs choose a rule, latches hold the state, one output says that something is wrong: a property
 * is broken in the state, or the chosen rule breaks one or fails. PDR proves that it never is, and gives an invariant;
 * that the invariant holds at first, is kept by every rule, and leaves nothing wrong is checked by another program, a
 * SAT solver, on clauses that are made here. Bounded model checking finds the shortest way to what is wrong, by showing
 * first that no shorter one is; where that is too much, it is asked for any way of so many steps, of which some may be
 * that nothing happens. A world with many requests has many orders of the same calls: they are what makes it large for a
 * search of states and for the shortest way, and what makes any way easy to find.
 */

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  generatedSuccessors,
  isBroken,
  Layout,
  type Program,
  programOf,
  type Property,
  read,
  World,
  type WorldDefinition,
} from '../explorer/index.ts';
import { codeOf, codesOf } from '../explorer/print-specialised.ts';
import { Circuit, FALSE, type Literal, negate, toDimacs, TRUE } from './aiger.ts';
import { inFolder, run } from './engine.ts';
import { type Questions, questionsOf } from './questions.ts';
import { constant, placesOf, Run, Taken, type Value } from './symbolic.ts';

/** Programs that are needed. */
export const abcTools = ['berkeley-abc', 'cadical'] as const;

/** What ABC says of a world. */
export interface AbcResult {
  /** `proved`: nothing is ever wrong; `broken`: by `path`; `unknown`: out of time or frames. */
  readonly verdict: 'proved' | 'broken' | 'unknown';
  /** Rules to what is wrong. */
  readonly path: readonly number[] | null;
  /** Clauses of the invariant, which was checked; 0 without. */
  readonly clauses: number;
  readonly latches: number;
  readonly ands: number;
  /** Frames that were searched without finding anything. */
  readonly frames: number;
  readonly cpuSeconds: number;
}

export interface AbcOptions {
  /**
   * `pdr`: unbounded; `bmc`: the shortest way, of this number of rules at most; `reach`: any way of this number of rules
   * at most that takes known branches alone, shortened. That nothing was reached says nothing.
   */
  readonly how: 'pdr' | { readonly bmc: number } | { readonly reach: number };
  /** Seconds of one run. */
  readonly seconds?: number;
  /** States that are searched explicitly, to learn which branches are taken. */
  readonly learn?: number;
  /** Rules that are taken at random for the same purpose, which leads farther. */
  readonly wander?: number;
}

/**
 * Asks ABC whether any of `properties` (of those about states and transitions) can be broken, or a rule fail.
 *
 * @throws Error when an invariant that ABC gives is none
 */
export async function runAbc(
  definition: WorldDefinition,
  properties: readonly Property[],
  { how, seconds = 300, learn = 20_000, wander = 0 }: AbcOptions,
): Promise<AbcResult> {
  const world = new World(definition);
  const program = programOf(world);
  const questions = questionsOf(program, properties);
  const teacher = new Teacher(world, program);
  teacher.learn(learn);
  teacher.wander(wander);
  const isReach = how !== 'pdr' && 'reach' in how;
  let cpuSeconds = 0;
  // A way that takes a branch which no state took that was seen is learnt, and asked about again.
  for (let round = 0; ; round++) {
    const circuit = circuitOf(program, questions, teacher.taken, isReach);
    const found = await ask(circuit, how, seconds);
    cpuSeconds += found.cpuSeconds;
    const size = { latches: circuit.latches, ands: circuit.operands.length / 2, frames: found.frames, cpuSeconds };
    if (found.inputs === null) {
      const clauses = found.invariant === null ? 0 : found.invariant.length;
      if (found.invariant !== null) await certify(circuit, found.invariant, seconds);
      const verdict = found.invariant === null ? 'unknown' : 'proved';
      return { verdict, path: null, clauses, ...size };
    }
    const choices = found.inputs.map((bits) => bits.reduce((number, bit, index) => number + (bit << index), 0));
    const path = teacher.follow(choices, questions);
    if (path !== null) {
      return { verdict: 'broken', path: isReach ? shortened(path, teacher, questions) : path, clauses: 0, ...size };
    }
    if (round === 100) throw new Error(`ABC: '${definition.name}': ${round} ways that are none`);
  }
}

/** What is left of a path when each rule is left out without which it still leads to what is wrong. */
function shortened(path: readonly number[], teacher: Teacher, questions: Questions): readonly number[] {
  let shortest = path;
  for (let at = path.length - 1; at >= 0; at--) {
    if (at >= shortest.length) continue;
    const without = teacher.follow(shortest.toSpliced(at, 1), questions);
    if (without !== null && without.length < shortest.length) shortest = without;
  }
  return shortest;
}

const bitsFor = (count: number): number => Math.max(1, 32 - Math.clz32(count - 1));

/**
 * The circuit of a program. A choice of no rule, or of one that can't happen, changes nothing.
 *
 * @param keeping - nothing is wrong on a way that has left the branches in `taken`; otherwise to leave them is wrong
 */
function circuitOf(program: Program, questions: Questions, taken: readonly Taken[], keeping: boolean): Circuit {
  const places = placesOf(program);
  const widths = places.map(({ variable }) => bitsFor(codesOf(variable)));
  const circuit = new Circuit(
    bitsFor(program.rules.length),
    widths.reduce((sum, width) => sum + width, keeping ? 1 : 0),
  );
  const every = (bits: readonly Literal[]): Literal => bits.reduce((all, bit) => circuit.and(all, bit), TRUE);
  const some = (bits: readonly Literal[]): Literal => bits.reduce((any, bit) => circuit.or(any, bit), FALSE);
  const isNumber = (bits: readonly Literal[], number: number): Literal =>
    every(bits.map((bit, index) => (((number >> index) & 1) === 1 ? bit : negate(bit))));

  // Latches begin with 0: each holds the difference from the initial state.
  let latch = 0;
  const state = new Map<string, Value>();
  const bitsOf = places.map(({ variable, row, key }, index) => {
    const first = codeOf(variable, variable.initial[row]!);
    const bits = Array.from({ length: widths[index]! }, (_, bit) => circuit.latch(latch++) ^ ((first >> bit) & 1));
    const values = variable.values ?? Array.from({ length: codesOf(variable) }, (_, code) => code + variable.low);
    state.set(key, new Map(values.map((value, code) => [value, isNumber(bits, code)])));
    return bits;
  });
  const before = new Map<string, Value>();
  for (const [variable, made] of questions.before) {
    for (const row of variable.initial.keys()) {
      before.set(`${made.name} ${row}`, state.get(`${variable.name} ${row}`) ?? constant(variable.low));
    }
  }

  const choice = Array.from({ length: circuit.inputs }, (_, index) => circuit.input(index));
  const now = new Run(circuit, state, false);
  circuit.bad = some(
    questions.sights
      .filter(({ means, ofTransition }) => means === 'broken' && !ofTransition)
      .map(({ when }) => now.condition(when)),
  );
  const next = new Map(state);
  let strays: Literal = FALSE;
  for (const [rule, { guard, body }] of program.rules.entries()) {
    const go = circuit.and(isNumber(choice, rule), now.condition(guard));
    const step = new Run(circuit, new Map([...before, ...state]), false);
    step.block(body, go, new Map(), taken[rule]!);
    const breaks = questions.sights
      .filter(({ means, ofTransition }) => means === 'broken' && ofTransition)
      .map(({ when }) => step.condition(when));
    const strayed = circuit.and(go, step.strayed);
    strays = circuit.or(strays, strayed);
    const wrong = circuit.and(go, some([step.failed, ...breaks]));
    circuit.bad = circuit.or(circuit.bad, keeping ? circuit.and(wrong, negate(strayed)) : circuit.or(wrong, strayed));
    for (const { variable, row, key } of places) {
      const after = step.value(variable, row);
      if (after !== state.get(key)) next.set(key, choose(circuit, go, after, next.get(key)!));
    }
  }
  for (const [index, { variable, key }] of places.entries()) {
    const value = next.get(key)!;
    const first = codeOf(variable, variable.initial[places[index]!.row]!);
    for (const bit of bitsOf[index]!.keys()) {
      const is = some(
        [...value].flatMap(([number, when]) => (((codeOf(variable, number) >> bit) & 1) === 1 ? [when] : [])),
      );
      circuit.next.push(is ^ ((first >> bit) & 1));
    }
  }
  if (keeping) {
    const hasStrayed = circuit.latch(latch);
    circuit.next.push(circuit.or(hasStrayed, strays));
    circuit.bad = circuit.and(circuit.bad, negate(hasStrayed));
  }
  return circuit;
}

function choose(circuit: Circuit, test: Literal, yes: Value, no: Value): Value {
  return new Map(
    [...new Set([...yes.keys(), ...no.keys()])].map((value) => [
      value,
      circuit.choose(test, yes.get(value) ?? FALSE, no.get(value) ?? FALSE),
    ]),
  );
}

/** Rules of one way that is taken at random. */
const WALK = 100;

/** Runs the program on states that are reached, and remembers the branches. */
class Teacher {
  readonly #world: World;
  readonly #program: Program;
  readonly #layout: Layout;
  readonly taken: readonly Taken[];

  constructor(world: World, program: Program) {
    this.#world = world;
    this.#program = program;
    this.#layout = new Layout(world);
    this.taken = program.rules.map(() => new Taken());
  }

  #values(words: Int32Array): ReadonlyMap<string, Value> {
    const cells = new Map(this.#layout.cells.map((cell) => [`${cell.of}/${cell.name}`, cell]));
    return new Map(
      placesOf(this.#program).map(({ key, variable, row }) => {
        const cell = cells.get(`${variable.machine} ${row}/${variable.field}`)!;
        return [key, constant(read(cell, words, 0))];
      }),
    );
  }

  #note(rule: number, values: ReadonlyMap<string, Value>): Run {
    const run = new Run(new Circuit(0, 0), values, true);
    run.block(this.#program.rules[rule]!.body, TRUE, new Map(), this.taken[rule]!);
    return run;
  }

  /** Searches breadth first, as far as that many states. */
  learn(statesMax: number): void {
    const successors = generatedSuccessors(this.#world, this.#layout);
    const { words } = successors;
    const known = new Set<string>();
    const states: Int32Array[] = [];
    const enabled = new Uint16Array(successors.rules);
    const add = (state: Int32Array): void => {
      const key = state.join();
      if (known.has(key) || states.length >= statesMax) return;
      known.add(key);
      states.push(state);
    };
    const first = new Int32Array(words);
    successors.initial(first, 0);
    add(first);
    for (let at = 0; at < states.length; at++) {
      const count = successors.enabled(states[at]!, 0, enabled);
      const values = this.#values(states[at]!);
      for (let index = 0; index < count; index++) {
        const rule = enabled[index]!;
        this.#note(rule, values);
        const to = new Int32Array(words);
        try {
          successors.fire(rule, states[at]!, 0, to, 0);
          add(to);
        } catch (error) {
          if (!isBroken(error)) throw error;
        }
      }
    }
  }

  /** Takes rules at random, from the initial state again after every {@link WALK}. The same every time. */
  wander(steps: number): void {
    const successors = generatedSuccessors(this.#world, this.#layout);
    const [from, to] = [new Int32Array(successors.words), new Int32Array(successors.words)];
    const enabled = new Uint16Array(successors.rules);
    let random = 1;
    for (let step = 0; step < steps; step++) {
      if (step % WALK === 0) successors.initial(from, 0);
      const count = successors.enabled(from, 0, enabled);
      if (count === 0) continue;
      // Xorshift; source: Marsaglia, "Xorshift RNGs" (2003).
      random ^= random << 13;
      random ^= random >>> 17;
      random ^= random << 5;
      const rule = enabled[(random >>> 0) % count]!;
      this.#note(rule, this.#values(from));
      try {
        successors.fire(rule, from, 0, to, 0);
        from.set(to);
      } catch (error) {
        if (!isBroken(error)) throw error;
      }
    }
  }

  /**
   * Takes those of some choices that are rules that can happen.
   *
   * @returns the rules, up to that which leads to what is wrong; `null` when nothing is
   */
  follow(choices: readonly number[], questions: Questions): number[] | null {
    let values: ReadonlyMap<string, Value> = new Map(
      placesOf(this.#program).map(({ key, variable, row }) => [key, constant(variable.initial[row]!)]),
    );
    const places = placesOf(this.#program);
    const broken = questions.sights.filter(({ means }) => means === 'broken');
    const states = broken.filter(({ ofTransition }) => !ofTransition);
    const transitions = broken.filter(({ ofTransition }) => ofTransition);
    const isWrong = (): boolean => {
      const here = new Run(new Circuit(0, 0), values, true);
      return states.some(({ when }) => here.condition(when) === TRUE);
    };
    const path: number[] = [];
    if (isWrong()) return path;
    for (const choice of choices) {
      const rule = this.#program.rules[choice];
      const here = new Run(new Circuit(0, 0), values, true);
      if (rule === undefined || here.condition(rule.guard) !== TRUE) continue;
      const before = new Map<string, Value>();
      for (const [variable, made] of questions.before) {
        for (const row of variable.initial.keys()) before.set(`${made.name} ${row}`, here.value(variable, row));
      }
      const step = this.#note(choice, new Map([...values, ...before]));
      path.push(choice);
      if (step.failed === TRUE || transitions.some(({ when }) => step.condition(when) === TRUE)) return path;
      values = new Map(places.map(({ key, variable, row }) => [key, step.value(variable, row)]));
      if (isWrong()) return path;
    }
    return null;
  }
}

interface Answer {
  /** Inputs of each frame, to what is wrong; `null`: nothing was found. */
  readonly inputs: readonly (readonly number[])[] | null;
  /** Clauses over the latches, as DIMACS has them, that hold in all states; `null`: none was found. */
  readonly invariant: readonly (readonly number[])[] | null;
  readonly frames: number;
  readonly cpuSeconds: number;
}

async function ask(circuit: Circuit, how: AbcOptions['how'], seconds: number): Promise<Answer> {
  return inFolder(async (folder) => {
    await writeFile(join(folder, 'world.aig'), circuit.toAiger());
    const command =
      how === 'pdr'
        ? `pdr -T ${seconds} -d -I invariant.pla`
        : 'bmc' in how
          ? `bmc3 -T ${seconds} -F ${how.bmc + 1}`
          : `bmc3 -g -T ${seconds} -S ${how.reach} -F ${how.reach + 1}`;
    const script = `read_aiger world.aig; ${command}; print_status; write_cex -n path.txt`;
    const { output, cpuSeconds } = await run(['berkeley-abc', '-c', script], { folder, seconds: seconds + 60 });
    const frames = Math.max(
      0,
      ...[...output.matchAll(/(?:frame|Frame|depth)\D*(\d+)/g)].map(([, number]) => Number(number)),
    );
    const text = await readFile(join(folder, 'path.txt'), 'utf8').catch(() => '');
    const isBroken = /was asserted in frame|Status = 0/.test(output);
    if (isBroken) return { inputs: inputsOf(text, circuit), invariant: null, frames, cpuSeconds };
    const isProved = how === 'pdr' && /Property proved|Status = 1/.test(output);
    const pla = isProved ? await readFile(join(folder, 'invariant.pla'), 'utf8') : null;
    return { inputs: null, invariant: pla === null ? null : clausesOf(pla, circuit), frames, cpuSeconds };
  });
}

/** A counterexample as ABC writes it with names: `pi0@3=1`. */
function inputsOf(text: string, { inputs }: Circuit): readonly (readonly number[])[] {
  const frames: number[][] = [];
  for (const [, index, frame, value] of text.matchAll(/^pi(\d+)@(\d+)=([01])$/gm)) {
    frames[Number(frame)] ??= new Array<number>(inputs).fill(0);
    frames[Number(frame)]![Number(index)] = Number(value);
  }
  if (frames.length === 0) throw new Error(`ABC gives no counterexample:\n${text}`);
  return frames;
}

/** An invariant as ABC writes it: latches by name, and a cube for each clause, which is that the cube is not. */
function clausesOf(pla: string, circuit: Circuit): readonly (readonly number[])[] {
  const names = /^\.ilb (.*)$/m.exec(pla)?.[1]?.trim().split(/\s+/) ?? [];
  const latches = names.map((name) => circuit.latch(Number(/^lo(\d+)$/.exec(name)![1])));
  return [...pla.matchAll(/^([01-]+) 1$/gm)].map(([, cube]) =>
    [...cube!].flatMap((sign, index) => (sign === '-' ? [] : [toDimacs(latches[index]! ^ Number(sign))])),
  );
}

/**
 * Checks with a SAT solver that `invariant` holds at first, is kept, and leaves nothing wrong.
 *
 * @throws Error when it doesn't
 */
async function certify(circuit: Circuit, invariant: readonly (readonly number[])[], seconds: number): Promise<void> {
  // Latches begin with 0.
  if (invariant.some((clause) => clause.every((literal) => literal > 0))) {
    throw new Error('ABC: the invariant does not hold in the initial state');
  }
  const clauses: (readonly number[])[] = [...circuit.clauses(), ...invariant];
  let variables = circuit.dimacsVariables;
  const firstLatch = toDimacs(circuit.latch(0));
  // Something is wrong, or some clause does not hold next.
  const wrong = [toDimacs(circuit.bad)];
  for (const clause of invariant) {
    const breaks = ++variables;
    wrong.push(breaks);
    for (const literal of clause) {
      const next = toDimacs(circuit.next[Math.abs(literal) - firstLatch]!);
      clauses.push([-breaks, literal > 0 ? -next : next]);
    }
  }
  clauses.push(wrong);
  const text = [`p cnf ${variables} ${clauses.length}`, ...clauses.map((clause) => `${clause.join(' ')} 0`), ''];
  await inFolder(async (folder) => {
    await writeFile(join(folder, 'certificate.cnf'), text.join('\n'));
    const { status, output } = await run(['cadical', '-q', 'certificate.cnf'], { folder, seconds });
    if (status === 10) throw new Error('ABC: the invariant is not kept, or does not keep what is asked');
    if (status !== 20) throw new Error(`CaDiCaL ends with ${status}: ${output}`);
  });
}
