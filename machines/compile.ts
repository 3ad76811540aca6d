/**
 * Compiler: XState machine -> dense integer tables.
 *
 * Theory of operation: what a statechart means (which transition is taken, what is exited and entered, in which order
 * actions run) is asked of XState itself. Each guard is replaced by an oracle and each action by a recorder; then every
 * (configuration, event) is run once for each combination of guard answers that XState really asks for. The outcome is a
 * decision tree, and trees become programs in one code array:
 *
 *     GUARD g, else   go on if guard g holds, else jump
 *     UPDATE u        change memory by update u
 *     EFFECT e        emit effect call e
 *     GOTO c          enter configuration c; the event is accepted
 *     REJECT          the event is not accepted
 *
 * The dispatch table gives each (configuration, event) its program. A machine that uses anything whose meaning this
 * would not capture is refused, with the state and the feature.
 */

import { sha256 } from '@noble/hashes/sha2.js';
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js';
import { type AnyStateMachine, assign, createActor } from 'xstate';
import { bounds, type Contract, type Domain, initialContext } from './contract.ts';
import { type Expression, evaluate, toText, walk } from './expression.ts';

export const Op = { guard: 0, update: 1, effect: 2, goto: 3, reject: 4 } as const;

/** A named list of typed values: a field, an event with its parameters, an effect with its arguments. */
export interface NamedDomain {
  readonly name: string;
  readonly domain: Domain;
}
export interface EventType {
  readonly name: string;
  readonly parameters: readonly NamedDomain[];
}
export interface EffectType {
  readonly name: string;
  readonly parameters: readonly NamedDomain[];
}
export interface FieldType extends NamedDomain {
  readonly initial: number;
}
/** Changes of one update; every value is computed before any is stored. */
export type Update = readonly { readonly field: number; readonly value: Expression }[];
export interface EffectCall {
  readonly effect: number;
  readonly args: readonly Expression[];
}

/** A machine as production runs it. */
export interface CompiledMachine {
  readonly name: string;
  /** Names of the configurations, by index: `connected.active`. Index 0 is the initial one. */
  readonly configurations: readonly string[];
  /** XState's state value of each configuration. */
  readonly values: readonly unknown[];
  /** 1 for configurations in which the machine is over. */
  readonly final: Uint8Array;
  /** What each configuration's `meta` says as `refusal`; 0 where it says nothing. */
  readonly refusals: Int32Array;
  readonly fields: readonly FieldType[];
  readonly events: readonly EventType[];
  readonly effects: readonly EffectType[];
  readonly guards: readonly Expression[];
  readonly updates: readonly Update[];
  readonly calls: readonly EffectCall[];
  /** Start of the program of (configuration × events.length + event) in {@link CompiledMachine.code}. */
  readonly dispatch: Int32Array;
  readonly code: Int32Array;
  /** Most effects that one step emits. */
  readonly effectsMax: number;
}

/** A machine uses something outside the compiled subset. */
export class CompileError extends Error {
  override readonly name = 'CompileError';
}

interface Action {
  readonly type: string;
  readonly params?: unknown;
}
type Tree =
  | { readonly guard: Expression; readonly yes: Tree; readonly no: Tree }
  | { readonly act: Action; readonly next: Tree }
  | { readonly to: number }
  | { readonly reject: true };
type Trace = readonly ({ readonly guard: Expression; readonly answer: boolean } | { readonly act: Action })[];

/** Tables of a machine that another is like, but for what it does with some events in some configurations. */
export interface Likeness {
  readonly tables: CompiledMachine;
  /** @param configuration - by name */
  readonly isChanged: (configuration: string, event: string) => boolean;
}

/**
 * Compiles `machine`.
 *
 * @param contract - what the machine remembers, accepts and asks for
 * @param like - with the same contract; what is not changed is taken from its tables, which is quicker
 * @throws {@link CompileError} naming machine, state and feature
 */
export function compile(machine: AnyStateMachine, contract: Contract, like?: Likeness): CompiledMachine {
  lint(machine, contract);
  const events = signature(contract.events);
  const effects = signature(contract.effects);
  const fields: FieldType[] = Object.entries(contract.context).map(([name, { domain, initial }]) => ({
    name,
    domain,
    initial,
  }));

  const probe = prober(machine, contract);
  const configurations: { name: string; value: unknown; final: boolean; refusal: number }[] = [];
  const ids = new Map<string, number>();
  const intern = (next: Outcome): number => {
    const key = JSON.stringify(next.value);
    const known = ids.get(key);
    if (known !== undefined) return known;
    const id = configurations.length;
    ids.set(key, id);
    configurations.push({ name: valueName(next.value), value: next.value, final: next.final, refusal: next.refusal });
    return id;
  };
  const known = like?.tables;
  for (const [id, value] of (known?.values ?? []).entries()) {
    intern({ value, final: known!.final[id] === 1, refusal: known!.refusals[id]! });
  }
  intern(probe.initial());

  const program = new ProgramBuilder(fields, effects, known);
  const dispatch: number[] = [];
  for (let id = 0; id < configurations.length; id++) {
    const { name, value, final } = configurations[id]!;
    for (const [index, event] of events.entries()) {
      if (like !== undefined && id < like.tables.values.length && !like.isChanged(name, event.name)) {
        dispatch.push(like.tables.dispatch[id * events.length + index]!);
        continue;
      }
      dispatch.push(program.place(final ? { reject: true } : probe.tree(value, event.name, intern), event));
    }
  }

  return {
    name: machine.id,
    configurations: configurations.map(({ name }) => name),
    values: configurations.map(({ value }) => value),
    final: Uint8Array.from(configurations, ({ final }) => (final ? 1 : 0)),
    refusals: Int32Array.from(configurations, ({ refusal }) => refusal),
    fields,
    events,
    effects,
    guards: program.guards,
    updates: program.updates,
    calls: program.calls,
    dispatch: Int32Array.from(dispatch),
    code: Int32Array.from(program.code),
    effectsMax: program.effectsMax,
  };
}

const digests = new WeakMap<readonly CompiledMachine[], string>();

/** Digest of everything that decides what a machine does; 64 hexadecimal digits. */
export function digestOf(machines: readonly CompiledMachine[]): string {
  const known = digests.get(machines);
  if (known !== undefined) return known;
  const text = JSON.stringify(
    machines.map(({ values: _, final, refusals, dispatch, code, ...rest }) => ({
      ...rest,
      final: [...final],
      refusals: [...refusals],
      dispatch: [...dispatch],
      code: [...code],
    })),
  );
  const digest = bytesToHex(sha256(utf8ToBytes(text)));
  digests.set(machines, digest);
  return digest;
}

function signature(of: Contract['events']): EventType[] {
  return Object.entries(of).map(([name, parameters]) => ({
    name,
    parameters: Object.entries(parameters).map(([parameter, domain]) => ({ name: parameter, domain })),
  }));
}

/** `{ connected: 'active' }` -> `connected.active`; regions of a parallel state are joined by `+`. */
export function valueName(value: unknown): string {
  if (typeof value === 'string') return value;
  return Object.entries(value as Record<string, unknown>)
    .map(([key, inner]) => {
      const rest = valueName(inner);
      return rest === '' ? key : `${key}.${rest}`;
    })
    .join('+');
}

interface Outcome {
  readonly value: unknown;
  readonly final: boolean;
  readonly refusal: number;
}

interface Snapshot {
  readonly status: string;
  readonly error?: unknown;
  readonly value: unknown;
  getMeta(): Record<string, { refusal?: number } | undefined>;
}

/** Microsteps that one event can take; with every guard true, `always` may never end. */
const MICROSTEPS_MAX = 100;

/** XState's machine with oracles for guards and recorders for actions. */
function prober(machine: AnyStateMachine, contract: Contract) {
  let oracle: (guard: Expression) => boolean = () => false;
  let trace: ({ guard: Expression; answer: boolean } | { act: Action })[] = [];
  const nothing = () => {};
  const probe = machine.provide({
    guards: { when: ((_: unknown, test: Expression) => oracle(test)) as never },
    actions: {
      ...Object.fromEntries(Object.keys(contract.effects).map((type) => [type, nothing])),
      // An assign() too, though one without outcome: XState asks for `always` again only after a change of memory.
      update: assign((_: unknown, params: unknown) => {
        trace.push({ act: { type: 'update', params } });
        return {};
      }),
    } as never,
  }) as AnyStateMachine;
  probe.options = { ...machine.options, maxIterations: MICROSTEPS_MAX };
  const self = createActor(probe);
  const scope = {
    self,
    id: '',
    sessionId: '',
    system: self.system,
    defer: nothing,
    logger: nothing,
    stopChild: nothing,
    emit: nothing,
    actionExecutor: ({ type, params }: Action) => {
      trace.push({ act: { type, params } });
    },
  } as never;

  const outcome = (snapshot: Snapshot): Outcome => {
    if (snapshot.status === 'error') throw snapshot.error;
    const refusal = Object.values(snapshot.getMeta()).reduce((found, meta) => meta?.refusal ?? found, 0);
    return { value: snapshot.value, final: snapshot.status === 'done', refusal };
  };

  /** What `go` leads to, unless `always` leads it on for ever. */
  const settled = (where: string, go: () => unknown): Outcome => {
    try {
      return outcome(go() as Snapshot);
    } catch (error) {
      if (!(error instanceof Error && error.message.startsWith('Infinite loop'))) throw error;
      throw new CompileError(`machine '${machine.id}', ${where}: always transitions that may have no end`);
    }
  };

  /** One run with the first guards answered as given and the others with yes. */
  const run = (value: unknown, type: string, answers: readonly boolean[]) => {
    trace = [];
    let asked = 0;
    let mark = 0;
    let memo = new Map<string, boolean>();
    const given: boolean[] = [];
    oracle = (test) => {
      // An action may have changed what a guard says: ask it anew.
      for (; mark < trace.length; mark++) if ('act' in trace[mark]!) memo = new Map();
      const key = JSON.stringify(test);
      const known = memo.get(key);
      if (known !== undefined) return known;
      const answer = answers[asked++] ?? true;
      given.push(answer);
      memo.set(key, answer);
      trace.push({ guard: test, answer });
      mark = trace.length;
      return answer;
    };
    const before = probe.resolveState({ value, context: {} } as never);
    const event = { type } as never;
    const enabled = probe.getTransitionData(before, event).length > 0;
    const next = enabled
      ? settled(`state '${valueName(value)}', event '${type}'`, () => probe.transition(before, event, scope))
      : null;
    return { next, trace: trace as Trace, given };
  };

  return {
    initial(): Outcome {
      trace = [];
      const context = initialContext(contract);
      oracle = (test) => evaluate(test, context, {}) !== 0;
      const found = settled('initial state', () => probe.getInitialSnapshot(scope));
      if (trace.length > 0) {
        throw new CompileError(
          `machine '${machine.id}': the initial state has entry actions; a new row would miss them`,
        );
      }
      return found;
    },
    /** Every run of (configuration, event), as a decision tree. */
    tree(value: unknown, type: string, intern: (next: Outcome) => number): Tree {
      const paths: { trace: Trace; leaf: Tree }[] = [];
      const open: (readonly boolean[])[] = [[]];
      for (let answers = open.pop(); answers !== undefined; answers = open.pop()) {
        const { next, trace: steps, given } = run(value, type, answers);
        for (let i = given.length - 1; i >= answers.length; i--) open.push([...given.slice(0, i), false]);
        if (paths.length > 10_000) {
          throw new CompileError(
            `machine '${machine.id}', state '${valueName(value)}', event '${type}': too many guards`,
          );
        }
        paths.push({ trace: steps, leaf: next === null ? { reject: true } : { to: intern(next) } });
      }
      return merge(paths, 0);
    },
  };
}

function merge(paths: readonly { trace: Trace; leaf: Tree }[], depth: number): Tree {
  const step = paths[0]!.trace[depth];
  if (step === undefined) return paths[0]!.leaf;
  if ('act' in step) return { act: step.act, next: merge(paths, depth + 1) };
  const side = (answer: boolean) =>
    merge(
      paths.filter(({ trace }) => (trace[depth] as { answer: boolean }).answer === answer),
      depth + 1,
    );
  return { guard: step.guard, yes: side(true), no: side(false) };
}

/** Lays trees out in the code array; equal trees share a program. */
class ProgramBuilder {
  readonly code: number[];
  readonly guards: Expression[];
  readonly updates: Update[];
  readonly calls: EffectCall[];
  effectsMax: number;
  readonly #placed = new Map<string, number>();
  readonly #pooled = new Map<string, number>();
  readonly #fields: readonly FieldType[];
  readonly #effects: readonly EffectType[];

  /** @param known - tables whose programs stay where they are */
  constructor(fields: readonly FieldType[], effects: readonly EffectType[], known?: CompiledMachine) {
    this.code = [...(known?.code ?? [])];
    this.guards = [...(known?.guards ?? [])];
    this.updates = [...(known?.updates ?? [])];
    this.calls = [...(known?.calls ?? [])];
    this.effectsMax = known?.effectsMax ?? 0;
    this.#fields = fields;
    this.#effects = effects;
  }

  /** @param event - decides what the tree's parameter names mean, so only events of one signature share a program */
  place(tree: Tree, event: EventType): number {
    const key = JSON.stringify([tree, event.parameters.map(({ name }) => name)]);
    const known = this.#placed.get(key);
    if (known !== undefined) return known;
    const start = this.code.length;
    this.#placed.set(key, start);
    this.#emit(tree, 0);
    return start;
  }

  #emit(tree: Tree, effects: number): void {
    this.effectsMax = Math.max(this.effectsMax, effects);
    if ('reject' in tree) {
      this.code.push(Op.reject);
    } else if ('to' in tree) {
      this.code.push(Op.goto, tree.to);
    } else if ('act' in tree) {
      if (tree.act.type === 'update') {
        this.code.push(Op.update, this.#update(tree.act.params as Record<string, Expression>));
        this.#emit(tree.next, effects);
      } else {
        this.code.push(Op.effect, this.#call(tree.act.type, tree.act.params as Record<string, Expression>));
        this.#emit(tree.next, effects + 1);
      }
    } else {
      this.code.push(Op.guard, this.#pool(this.guards, tree.guard));
      const hole = this.code.push(0) - 1;
      this.#emit(tree.yes, effects);
      this.code[hole] = this.code.length;
      this.#emit(tree.no, effects);
    }
  }

  #update(changes: Record<string, Expression>): number {
    return this.#pool(
      this.updates,
      Object.entries(changes).map(([name, value]) => ({
        field: this.#fields.findIndex((field) => field.name === name),
        value,
      })),
    );
  }

  #call(type: string, args: Record<string, Expression>): number {
    const effect = this.#effects.findIndex(({ name }) => name === type);
    return this.#pool(this.calls, {
      effect,
      args: this.#effects[effect]!.parameters.map(({ name }) => args[name]!),
    });
  }

  #pool<T>(pool: T[], item: T): number {
    const key = `${pool === (this.guards as unknown) ? 'g' : pool === (this.updates as unknown) ? 'u' : 'c'}${JSON.stringify(item)}`;
    const known = this.#pooled.get(key);
    if (known !== undefined) return known;
    this.#pooled.set(key, pool.length);
    return pool.push(item) - 1;
  }
}

/** What the lint reads of XState's state nodes; all of it is public. */
interface Node {
  readonly key: string;
  readonly type: string;
  readonly path: readonly string[];
  readonly states: Readonly<Record<string, Node>>;
  readonly entry: readonly unknown[];
  readonly exit: readonly unknown[];
  readonly invoke: readonly unknown[];
  readonly after: readonly unknown[];
  readonly always: readonly Candidate[] | undefined;
  readonly output?: unknown;
  readonly transitions: ReadonlyMap<string, readonly Candidate[]>;
}
interface Candidate {
  readonly target: readonly unknown[] | undefined;
  readonly guard?: unknown;
  readonly actions: readonly unknown[];
}

function lint(machine: AnyStateMachine, contract: Contract): void {
  const refuse = (node: Node, what: string): never => {
    throw new CompileError(
      `machine '${machine.id}', state '${node.path.join('.') || '(root)'}': ${what}; the compiled subset has no such thing`,
    );
  };
  const visit = (node: Node): void => {
    if (node.type === 'history') refuse(node, 'a history state');
    if (node.invoke.length > 0) refuse(node, 'invoke');
    if (node.after.length > 0) refuse(node, 'after (delayed transitions)');
    if (node.output !== undefined) refuse(node, 'output');
    for (const action of [...node.entry, ...node.exit]) checkAction(node, 'entry or exit', action, {});
    for (const candidate of node.always ?? []) checkCandidate(node, 'always', candidate, {});
    for (const [type, candidates] of node.transitions) {
      if (type.includes('*')) refuse(node, `wildcard event '${type}'`);
      if (type.startsWith('xstate.')) refuse(node, `event '${type}' (onDone, onError or after)`);
      const parameters = contract.events[type];
      if (parameters === undefined) return refuse(node, `event '${type}', which the contract does not declare`);
      for (const candidate of candidates) checkCandidate(node, `event '${type}'`, candidate, parameters);
    }
    for (const child of Object.values(node.states)) visit(child);
  };
  const checkCandidate = (
    node: Node,
    where: string,
    candidate: Candidate,
    parameters: Readonly<Record<string, Domain>>,
  ) => {
    const { target, guard, actions } = candidate;
    if (target === undefined && actions.length === 0) {
      refuse(node, `${where}: a transition without target and action (name what is ignored)`);
    }
    if (guard !== undefined) {
      const { type, params } =
        typeof guard === 'object' && guard !== null ? (guard as Action) : ({} as Partial<Action>);
      if (type !== 'when' || params === undefined || typeof params === 'function') {
        return refuse(node, `${where}: a guard that is not an expression (when(...))`);
      }
      checkExpression(node, `${where}, guard`, params as Expression, parameters, false);
    }
    for (const action of actions) checkAction(node, where, action, parameters);
  };
  const checkAction = (
    node: Node,
    where: string,
    action: unknown,
    parameters: Readonly<Record<string, Domain>>,
  ): void => {
    if (typeof action !== 'object' || action === null || 'resolve' in action) {
      return refuse(node, `${where}: an action that is a function, a bare name, or built into XState`);
    }
    const { type, params } = action as Action;
    if (typeof params !== 'object' || params === null) {
      return refuse(node, `${where}: action '${type}' whose parameters are not expressions`);
    }
    const args = Object.entries(params as Record<string, Expression>);
    const declared = type === 'update' ? null : contract.effects[type];
    if (declared === undefined) return refuse(node, `${where}: effect '${type}', which the contract does not declare`);
    for (const [name, value] of args) {
      const domain = declared === null ? contract.context[name]?.domain : declared[name];
      if (domain === undefined)
        return refuse(node, `${where}: '${type}' names '${name}', which the contract does not declare`);
      checkExpression(node, `${where}, ${type}.${name}`, value, parameters, domain.kind === 'carried');
    }
    for (const name of Object.keys(declared ?? {})) {
      if (!args.some(([given]) => given === name))
        refuse(node, `${where}: effect '${type}' without its argument '${name}'`);
    }
  };
  const checkExpression = (
    node: Node,
    where: string,
    expression: Expression,
    parameters: Readonly<Record<string, Domain>>,
    mayCarry: boolean,
  ): void => {
    walk(expression, (part) => {
      if (typeof part === 'number') {
        if (!Number.isInteger(part)) refuse(node, `${where}: the number ${part}, which is no integer`);
        return;
      }
      if (part.op !== 'context' && part.op !== 'event') return;
      const domain = part.op === 'context' ? contract.context[part.name]?.domain : parameters[part.name];
      if (domain === undefined) {
        return refuse(node, `${where}: '${toText(part)}', which the contract does not declare here`);
      }
      if (domain.kind === 'carried' && (part !== expression || !mayCarry)) {
        refuse(node, `${where}: computes with or decides on '${toText(part)}', which is only carried`);
      }
    });
  };
  for (const { domain, initial } of Object.values(contract.context)) {
    const { low, high } = bounds(domain);
    if (initial < low || initial > high) {
      throw new CompileError(`machine '${machine.id}': an initial value ${initial} outside ${low} to ${high}`);
    }
  }
  visit(machine.root as unknown as Node);
}
