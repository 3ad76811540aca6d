/**
 * Mutants of the statecharts and of the routes between them.
 *
 * Theory of operation: a chart's configuration is data, guards, updates and effects included. A mutant is that data with
 * one change at one place, made again into a machine and compiled: so what is tested is what somebody could have written
 * by mistake. Every mutant has a name that says place and change, and stays the same as long as the chart does.
 */

import { type AnyStateMachine, setup } from 'xstate';
import {
  bounds,
  type CompiledMachine,
  type Contract,
  compile,
  compileMachines,
  type Domain,
  defineMachines,
  type Expression,
  implementations,
  type Limits,
  type MachineDefinition,
  type MachineName,
  machineNames,
  type Routes,
  routes,
  toText,
} from '../../machines/index.ts';

/** What a mutant changes. */
export const operators = [
  'transition removed',
  'transition retargeted',
  'guard dropped',
  'guard negated',
  'conjunct dropped',
  'effect dropped',
  'effect doubled',
  'actions swapped',
  'argument altered',
  'assignment dropped',
  'assignment altered',
  'route dropped',
] as const;
export type Operator = (typeof operators)[number];

/** One change at one place. */
export interface Mutant {
  /** `socket connected.active: spi.send #1: guard dropped` */
  readonly name: string;
  readonly machine: MachineName;
  readonly operator: Operator;
  /**
   * The mutated machine for `limits`; null for a mutant of a route.
   *
   * @param whole - compiled as a whole, not as a change of the original's tables; slower, and the same
   * @throws CompileError when it is no machine
   */
  compile(limits: Limits, whole?: boolean): CompiledMachine | null;
  /** Whether it can change what `event` does in `configuration`; elsewhere it is the original. */
  touches(configuration: string, event: string): boolean;
  /** Instead of production's. */
  readonly routes: Routes;
}

interface Action {
  readonly type: string;
  readonly params?: Readonly<Record<string, Expression>>;
}
interface Candidate {
  target?: string;
  guard?: { readonly type: 'when'; readonly params: Expression };
  actions?: Action | readonly Action[];
}
interface Node {
  initial?: string;
  type?: string;
  entry?: Action | readonly Action[];
  exit?: Action | readonly Action[];
  on?: Record<string, string | Candidate | readonly (string | Candidate)[]>;
  always?: string | Candidate | readonly (string | Candidate)[];
  states?: Record<string, Node>;
}

/** A change of a configuration that is its owner's to change. */
interface Change {
  readonly place: string;
  /** State and event whose transitions alone it changes; null for what every way into a state does. */
  readonly where: { readonly state: string; readonly event: string } | null;
  readonly operator: Operator;
  readonly detail: string;
  readonly apply: (root: Node) => void;
}

const listOf = <T>(one: T | readonly T[] | undefined): T[] =>
  one === undefined ? [] : Array.isArray(one) ? [...(one as readonly T[])] : [one as T];
const candidateOf = (one: string | Candidate): Candidate => (typeof one === 'string' ? { target: one } : { ...one });

/**
 * Every mutant of every machine, made from the charts for `limits`, and every mutant of the routes. Mixed, and the same
 * each time: the first thousand are as good a sample as any.
 */
export function allMutants(limits: Limits): readonly Mutant[] {
  const definitions = defineMachines(limits);
  const mutants = [...machineNames.flatMap((name) => mutantsOf(name, definitions[name])), ...mutantsOfRoutes()];
  const place = (index: number): number => Math.imul(index + 1, 0x9e37_79b1) >>> 0;
  return mutants
    .map((mutant, index) => ({ mutant, place: place(index) }))
    .sort((left, right) => left.place - right.place)
    .map(({ mutant }) => mutant);
}

function mutantsOf(machine: MachineName, definition: MachineDefinition): Mutant[] {
  const root = definition.machine.config as unknown as Node;
  const names = new Map<string, number>();
  return changesOf(root, definition.contract).map(({ place, where, operator, detail, apply }): Mutant => {
    const base = `${machine} ${place}: ${operator}${detail === '' ? '' : ` (${detail})`}`;
    const again = (names.get(base) ?? 0) + 1;
    names.set(base, again);
    return {
      name: again === 1 ? base : `${base} [${again}]`,
      machine,
      operator,
      routes,
      touches: (configuration, event) =>
        where === null || (event === where.event && isInside(configuration, where.state)),
      compile: (limits, whole = false) => {
        const { config: written, contract, changes } = chartOf(limits, machine);
        // Places and operators are the same for all limits; what an expression says may not be.
        const change = changes.get(keyOf({ place, operator, detail }));
        const config = structuredClone(written);
        (change?.apply ?? apply)(config);
        const made = setup(implementations(contract)).createMachine(config as never) as unknown as AnyStateMachine;
        if (where === null || whole) return compile(made, contract);
        return compile(made, contract, {
          tables: compileMachines(limits)[machineNames.indexOf(machine)]!,
          isChanged: (configuration, type) => type === where.event && isInside(configuration, where.state),
        });
      },
    };
  });
}

const isInside = (configuration: string, state: string): boolean =>
  state === '(root)' || configuration === state || configuration.startsWith(`${state}.`);

interface Chart {
  readonly config: Node;
  readonly contract: Contract;
  readonly changes: ReadonlyMap<string, Change>;
}

const keyOf = ({ place, operator, detail }: Pick<Change, 'place' | 'operator' | 'detail'>): string =>
  `${place}: ${operator} (${detail})`;

const charts = new Map<string, Chart>();

/** A machine's chart for `limits`, and what can be changed in it; made once. */
function chartOf(limits: Limits, machine: MachineName): Chart {
  const key = `${machine} ${JSON.stringify(limits)}`;
  let chart = charts.get(key);
  if (chart === undefined) {
    const { machine: made, contract } = defineMachines(limits)[machine];
    const config = made.config as unknown as Node;
    chart = {
      config,
      contract,
      changes: new Map(changesOf(config, contract).map((change) => [keyOf(change), change])),
    };
    charts.set(key, chart);
  }
  return chart;
}

function nodeAt(root: Node, path: readonly string[]): Node {
  return path.reduce((node, key) => node.states![key]!, root);
}

function changesOf(root: Node, contract: Contract): Change[] {
  const changes: Change[] = [];
  const visit = (node: Node, path: readonly string[]): void => {
    const state = path.join('.') || '(root)';
    const siblings = path.length === 0 ? [] : Object.keys(nodeAt(root, path.slice(0, -1)).states!);
    for (const [event, given] of Object.entries(node.on ?? {})) {
      const list = listOf(given).map(candidateOf);
      candidateChanges(list, path, event, siblings);
    }
    candidateChanges(listOf(node.always).map(candidateOf), path, null, siblings);
    for (const hook of ['entry', 'exit'] as const) {
      actionChanges(`${state}: ${hook}`, null, listOf(node[hook]), contract, (altered) => (target) => {
        nodeAt(target, path)[hook] = altered;
      });
    }
    for (const [key, child] of Object.entries(node.states ?? {})) visit(child, [...path, key]);
  };
  const candidateChanges = (
    list: readonly Candidate[],
    path: readonly string[],
    event: string | null,
    siblings: readonly string[],
  ): void => {
    const state = path.join('.') || '(root)';
    const where = event === null ? null : { state, event };
    const put = (altered: readonly Candidate[]) => (target: Node) => {
      const node = nodeAt(target, path);
      if (event === null) node.always = altered;
      else if (altered.length === 0) delete node.on![event];
      else node.on![event] = altered;
    };
    for (const [index, candidate] of list.entries()) {
      const place = `${state}: ${event ?? 'always'} #${index}`;
      const add = (operator: Operator, detail: string, altered: readonly Candidate[]) =>
        changes.push({ place, where, operator, detail, apply: put(altered) });
      const replaced = (by: Partial<Candidate>): Candidate[] => list.with(index, { ...candidate, ...by });
      add('transition removed', '', list.toSpliced(index, 1));
      const { target, guard, actions } = candidate;
      if (target !== undefined) {
        const { target: _, ...stays } = candidate;
        if (listOf(actions).length > 0) add('transition retargeted', 'stays', list.with(index, stays));
        const own = path.at(-1)!;
        const other = siblings.find((sibling) => sibling !== own && sibling !== target && `#${sibling}` !== target);
        if (other !== undefined) add('transition retargeted', `to ${other}`, replaced({ target: other }));
      } else {
        const other = siblings.find((sibling) => sibling !== path.at(-1));
        if (other !== undefined) add('transition retargeted', `to ${other}`, replaced({ target: other }));
      }
      if (guard !== undefined) {
        const { guard: _, ...free } = candidate;
        add('guard dropped', '', list.with(index, free));
        const { params: test } = guard;
        const when = (params: Expression) => replaced({ guard: { type: 'when', params } });
        add('guard negated', '', when({ op: 'not', of: test }));
        const conjuncts = conjunctsOf(test);
        if (conjuncts.length > 1) {
          for (const [at, dropped] of conjuncts.entries()) {
            const rest = conjuncts.toSpliced(at, 1).reduce((left, right) => ({ op: '&&', left, right }));
            add('conjunct dropped', toText(dropped), when(rest));
          }
        }
      }
      actionChanges(place, where, listOf(actions), contract, (altered) => put(replaced({ actions: altered })));
    }
  };
  const actionChanges = (
    place: string,
    where: Change['where'],
    actions: readonly Action[],
    { context, effects }: Contract,
    put: (altered: readonly Action[]) => (target: Node) => void,
  ): void => {
    const add = (operator: Operator, detail: string, altered: readonly Action[]) =>
      changes.push({ place, where, operator, detail, apply: put(altered) });
    for (const [index, action] of actions.entries()) {
      const { type, params = {} } = action;
      const values = Object.entries(params);
      if (type === 'update') {
        for (const [field, value] of values) {
          const { [field]: _, ...rest } = params;
          const without =
            Object.keys(rest).length === 0 ? actions.toSpliced(index, 1) : actions.with(index, { type, params: rest });
          add('assignment dropped', field, without);
          const other = another(value, context[field]!.domain);
          if (other !== null) {
            add(
              'assignment altered',
              `${field} = ${other}`,
              actions.with(index, { type, params: { ...params, [field]: other } }),
            );
          }
        }
      } else if (type !== 'ignored') {
        add('effect dropped', type, actions.toSpliced(index, 1));
        add('effect doubled', type, actions.toSpliced(index, 0, action));
        for (const [argument, value] of values) {
          const other = another(value, effects[type]![argument]!);
          if (other !== null) {
            add(
              'argument altered',
              `${type}.${argument} = ${other}`,
              actions.with(index, { type, params: { ...params, [argument]: other } }),
            );
          }
        }
      }
      const next = actions[index + 1];
      if (next !== undefined) {
        add('actions swapped', `${type}, ${next.type}`, actions.toSpliced(index, 2, next, action));
      }
    }
  };
  visit(root, []);
  return changes;
}

function conjunctsOf(test: Expression): Expression[] {
  if (typeof test === 'number' || test.op !== '&&') return [test];
  return [...conjunctsOf(test.left), ...conjunctsOf(test.right)];
}

/** A value of `domain` that `value` is not; null when there is none, or nobody may compute one. */
function another(value: Expression, domain: Domain): number | null {
  if (domain.kind === 'carried') return null;
  const constant = typeof value === 'number' ? value : value.op === 'named' ? value.value : null;
  const { low, high } = bounds(domain);
  const values =
    domain.kind === 'oneOf' ? [...domain.values].sort((left, right) => left - right) : [low, low + 1, high];
  return values.find((candidate) => candidate <= high && candidate !== constant) ?? null;
}

function mutantsOfRoutes(): Mutant[] {
  return machineNames.flatMap((machine) =>
    Object.entries(routes[machine]).flatMap(([effect, list]) =>
      list.map((route, index): Mutant => {
        const says = route === 'perform' ? 'perform' : Object.values(route)[0];
        return {
          name: `${machine} ${effect}: route dropped (${index + 1}: ${says})`,
          machine,
          operator: 'route dropped',
          compile: () => null,
          touches: () => false,
          routes: { ...routes, [machine]: { ...routes[machine], [effect]: list.toSpliced(index, 1) } },
        };
      }),
    ),
  );
}
