/**
 * Charts for people: what a picture of a machine shows, and that picture as Mermaid text.
 *
 * Theory of operation: a {@link Chart} is read from XState's own state nodes, so a picture cannot disagree with what
 * runs. Transitions that differ only in their event are one. Two kinds are set apart, since a picture that has them
 * shows little else: a call that a state merely answers with a constant, and an event that it ignores on purpose.
 * {@link Chart.answered} and {@link Chart.ignored} keep them, for tables.
 */

import type { MachineDefinition } from './catalog.ts';
import { type Expression, toText } from './expression.ts';

/** Some events with one outcome. */
export interface ChartTransition {
  /** `always` for a transition that needs no event. */
  readonly events: readonly string[];
  /** Guard as text; `else` behind the guarded alternatives of the same event; empty where there is no condition. */
  readonly guard: string;
  /** Updates and effects as text, in order. */
  readonly effects: readonly string[];
  /** Path of the state that it goes to; null when it stays, exiting and entering nothing. */
  readonly target: string | null;
}

export interface ChartState {
  /** Keys from the outermost state to this one, joined by dots: `connected.active`. */
  readonly path: string;
  readonly name: string;
  readonly final: boolean;
  /** Path of the child that is entered first; null when there are no children. */
  readonly initial: string | null;
  readonly children: readonly ChartState[];
  /** Updates and effects on entering, as text. */
  readonly entry: readonly string[];
  /** Updates and effects on leaving, as text. */
  readonly exit: readonly string[];
  readonly transitions: readonly ChartTransition[];
}

/** What a picture of one machine shows. */
export interface Chart {
  readonly name: string;
  readonly initial: string;
  readonly states: readonly ChartState[];
  /** Events that a state (with all inside it) answers with a constant whatever its memory, and nothing else. */
  readonly answered: readonly { readonly state: string; readonly events: readonly string[]; readonly answer: string }[];
  /** Events that a state (with all inside it) accepts and ignores. */
  readonly ignored: readonly { readonly state: string; readonly events: readonly string[] }[];
  /** Transitions of the machine as written, those in {@link Chart.answered} and {@link Chart.ignored} included. */
  readonly transitionCount: number;
}

/** What is read of XState's state nodes; all of it is public. */
interface Node {
  readonly key: string;
  readonly type: string;
  readonly path: readonly string[];
  readonly initial: { readonly target: readonly Node[] } | undefined;
  readonly states: Readonly<Record<string, Node>>;
  readonly entry: readonly unknown[];
  readonly exit: readonly unknown[];
  readonly always: readonly Candidate[] | undefined;
  readonly transitions: ReadonlyMap<string, readonly Candidate[]>;
}
interface Candidate {
  readonly target: readonly Node[] | undefined;
  readonly guard?: unknown;
  readonly actions: readonly unknown[];
}
interface Word {
  readonly type: string;
  readonly params: Readonly<Record<string, Expression>>;
}

const IGNORED = 'ignored';
const pathOf = (node: Node): string => node.path.join('.');

/**
 * The chart of a machine.
 *
 * @throws Error for what charts of this project don't have: parallel states and transitions of the whole machine
 */
export function chartOf({ machine }: MachineDefinition): Chart {
  const answered = new Groups<{ state: string; answer: string }>();
  const ignored = new Groups<{ state: string }>();
  let transitionCount = 0;

  const read = (node: Node): ChartState => {
    if (node.type === 'parallel')
      throw new Error(`machine '${machine.id}': no picture of parallel state '${node.key}'`);
    const shown = new Groups<Omit<ChartTransition, 'events'>>();
    const show = (event: string, candidates: readonly Candidate[]): void => {
      transitionCount += candidates.length;
      for (const [index, { target, guard, actions }] of candidates.entries()) {
        const words = actions as readonly Word[];
        if (target === undefined && words.every(({ type }) => type === IGNORED)) {
          // Behind guards it stands for "otherwise nothing", which a picture says by silence.
          if (index === 0) ignored.add(event, { state: pathOf(node) });
          continue;
        }
        const constant = target === undefined && candidates.length === 1 ? constantAnswer(words) : null;
        if (constant !== null && guard === undefined) {
          answered.add(event, { state: pathOf(node), answer: constant });
          continue;
        }
        shown.add(event, {
          guard: guard === undefined ? (index > 0 ? 'else' : '') : toText((guard as { params: Expression }).params),
          effects: words.flatMap(wordText),
          target: target === undefined ? null : pathOf(target[0]!),
        });
      }
    };
    for (const [event, candidates] of node.transitions) show(event, candidates);
    // XState has both kinds apart; `always` is last, as it is looked at after an event's own transition.
    if (node.always !== undefined) show('always', node.always);
    const children = Object.values(node.states).map(read);
    return {
      path: pathOf(node),
      name: node.key,
      final: node.type === 'final',
      initial: children.length === 0 ? null : pathOf(node.initial!.target[0]!),
      children,
      entry: (node.entry as readonly Word[]).flatMap(wordText),
      exit: (node.exit as readonly Word[]).flatMap(wordText),
      transitions: shown.all(),
    };
  };

  const root = read(machine.root as unknown as Node);
  if (root.transitions.length > 0) {
    throw new Error(`machine '${machine.id}': no picture of transitions of the whole machine`);
  }
  return {
    name: machine.id,
    initial: root.initial!,
    states: root.children,
    answered: answered.all(),
    ignored: ignored.all(),
    transitionCount,
  };
}

/** Events gathered by what they have in common, in the order of their first. */
class Groups<T> {
  readonly #groups = new Map<string, { events: string[]; common: T }>();

  add(event: string, common: T): void {
    const key = JSON.stringify(common);
    const known = this.#groups.get(key);
    if (known === undefined) this.#groups.set(key, { events: [event], common });
    else known.events.push(event);
  }

  all(): (T & { readonly events: readonly string[] })[] {
    return [...this.#groups.values()].map(({ events, common }) => ({ ...common, events }));
  }
}

/** The error that `words` answer with, when that is all they do and it is a constant. */
function constantAnswer(words: readonly Word[]): string | null {
  const [word, ...more] = words;
  if (word?.type !== 'answer' || more.length > 0) return null;
  const error = word.params['error']!;
  return typeof error === 'number' || error.op === 'named' ? toText(error) : null;
}

/** An update or effect as text. An argument that is a plain number is given with its name. */
function wordText({ type, params }: Word): string[] {
  if (type === IGNORED) return [];
  const entries = Object.entries(params);
  if (type === 'update') return entries.map(([name, value]) => `${name} = ${toText(value)}`);
  if (entries.length === 0) return [type];
  const args = entries.map(([name, value]) =>
    typeof value === 'number' && type !== 'answer' ? `${name}=${value}` : toText(value),
  );
  return [`${type}(${args.join(', ')})`];
}

/** `event, event [guard] / effects`, as UML writes it. */
export function transitionText({ events, guard, effects }: ChartTransition): string {
  const condition = guard === '' ? '' : ` [${guard}]`;
  return `${events.join(', ')}${condition}${effects.length === 0 ? '' : ` / ${effects.join(', ')}`}`;
}

/** What happens inside `state` without leaving it, one line each: on entry, on exit, transitions that stay. */
export function internalTexts({ entry, exit, transitions }: ChartState): string[] {
  return [
    ...(entry.length === 0 ? [] : [`entry / ${entry.join(', ')}`]),
    ...(exit.length === 0 ? [] : [`exit / ${exit.join(', ')}`]),
    ...transitions.filter(({ target }) => target === null).map(transitionText),
  ];
}

/** All ways from one state to another. */
export interface ChartEdge {
  readonly source: string;
  readonly target: string;
  readonly transitions: readonly ChartTransition[];
}

/** Transitions that leave their state, gathered by source and target, in the order of the chart. */
export function edgesOf(chart: Chart): ChartEdge[] {
  const edges = new Map<string, { source: string; target: string; transitions: ChartTransition[] }>();
  const visit = (state: ChartState): void => {
    for (const transition of state.transitions) {
      if (transition.target === null) continue;
      const key = `${state.path} ${transition.target}`;
      const edge = edges.get(key) ?? { source: state.path, target: transition.target, transitions: [] };
      edges.set(key, edge);
      edge.transitions.push(transition);
    }
    state.children.forEach(visit);
  };
  chart.states.forEach(visit);
  return [...edges.values()];
}

/**
 * A machine as a Mermaid state diagram, the same text each time.
 *
 * Left out are calls that a state only answers with a constant and events that it ignores; see {@link chartOf}.
 */
export function toMermaid(definition: MachineDefinition): string {
  const chart = chartOf(definition);
  const lines = ['stateDiagram-v2', `    [*] --> ${id(chart.initial)}`];
  const declare = (state: ChartState, indent: string): void => {
    const texts = internalTexts(state);
    if (state.children.length === 0) {
      lines.push(`${indent}state "${state.name}" as ${id(state.path)}`);
      lines.push(...texts.map((text) => `${indent}${id(state.path)} : ${escaped(text)}`));
      if (state.final) lines.push(`${indent}${id(state.path)} --> [*]`);
      return;
    }
    lines.push(`${indent}state "${state.name}" as ${id(state.path)} {`, `${indent}    [*] --> ${id(state.initial!)}`);
    for (const child of state.children) declare(child, `${indent}    `);
    lines.push(`${indent}}`);
    if (texts.length > 0) {
      lines.push(
        `${indent}note right of ${id(state.path)}`,
        `${indent}    ${texts.map(escaped).join('<br/>')}`,
        `${indent}end note`,
      );
    }
  };
  for (const state of chart.states) declare(state, '    ');
  // Behind all declarations: Mermaid would make a state that it meets first in a transition part of where that stands.
  for (const { source, target, transitions } of edgesOf(chart)) {
    const texts = transitions.map((transition) => escaped(transitionText(transition)));
    lines.push(`    ${id(source)} --> ${id(target)} : ${texts.join('<br/>')}`);
  }
  return `${lines.join('\n')}\n`;
}

const id = (path: string): string => path.replaceAll('.', '_');

/** Mermaid ends a description at a colon or semicolon, and reads `<` and `>` as HTML. */
const escaped = (text: string): string => text.replaceAll(/[:;<>]/g, (character) => `#${character.charCodeAt(0)};`);
