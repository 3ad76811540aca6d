/**
 * Paths through a machine, one event after another from its start, that together take every transition.
 *
 * Method: `xstate/graph` (what was @xstate/test) finds a shortest path to every reachable state. From each of them every
 * event that the environment can send is tried once; whatever candidate is taken there for the first time makes a path.
 * A path that another begins with is left out.
 */

import type { AnyMachineSnapshot, AnyStateNode } from 'xstate';
import { getShortestPaths } from 'xstate/graph';
import {
  type CompiledMachine,
  compileMachines,
  type Domain,
  defineMachines,
  type Limits,
  type MachineDefinition,
  type MachineName,
  machineNames,
  type Values,
  valueName,
} from '../../machines/index.ts';
import { environments, isPossible } from './environment.ts';
import {
  type Effect,
  type EventInstance,
  eventInstances,
  eventText,
  Reference,
  type TransitionLike,
} from './reference.ts';

export interface PathStep {
  readonly event: string;
  /** In the order of the contract. */
  readonly params: readonly number[];
  /** What the machine is to be in afterwards. */
  readonly configuration: string;
  readonly context: Values;
  /** What the step is to ask for, in order. */
  readonly effects: readonly Effect[];
}

export interface MachinePath {
  /** Its events: `spi.startup(refusal=0) → adapter.opened`. */
  readonly description: string;
  readonly steps: readonly PathStep[];
}

/** Paths of one machine, and what they cover. */
export interface MachinePaths {
  readonly paths: readonly MachinePath[];
  /** Reachable (configuration, memory) with the values tried. */
  readonly states: number;
  /** Leaf states of the chart, and those of them that some path enters. */
  readonly leaves: Coverage;
  /** Candidates of the chart's `on` and `always`, and those of them that some path takes. */
  readonly transitions: Coverage;
}
export interface Coverage {
  readonly all: readonly string[];
  readonly covered: ReadonlySet<string>;
}

/** States beyond which the search gives up: a machine that is not bounded would never end. */
const STATES_MAX = 20_000;

/** Paths of every machine, made for `limits`. */
export function allMachinePaths(limits: Limits): Readonly<Record<MachineName, MachinePaths>> {
  const definitions = defineMachines(limits);
  const compiled = compileMachines(limits);
  return Object.fromEntries(
    machineNames.map((name, index) => [name, machinePaths(definitions[name], compiled[index]!, name)]),
  ) as unknown as Record<MachineName, MachinePaths>;
}

/** Values that show every branch: no guard tells more than two values of one parameter apart, and the limits' edges. */
export function decidingValues(domain: Domain): readonly number[] {
  switch (domain.kind) {
    case 'carried':
      return [domain.low];
    case 'range':
      return domain.low === domain.high ? [domain.low] : [domain.low, domain.high];
    case 'oneOf':
      return domain.values.slice(0, 2);
  }
}

/** What `xstate/graph` needs to search `machine` without end or waste: bounded, and without events that nobody sends. */
export function searchOptions(definition: MachineDefinition, machine: CompiledMachine, name: MachineName) {
  const reference = new Reference(definition);
  const instances = new Map(
    eventInstances(machine, decidingValues).map((instance) => [instance.event as unknown, instance]),
  );
  return {
    instances,
    events: [...instances.keys()] as never[],
    // An event that is not accepted would be a step from a state to itself.
    filterEvents: (snapshot: AnyMachineSnapshot, event: unknown) => {
      const instance = instances.get(event);
      return (
        instance !== undefined &&
        isPossible(environments[name], valueName(snapshot.value), snapshot.context as Values, instance) &&
        reference.accepts(snapshot, instance.event)
      );
    },
    stopWhen: (snapshot: AnyMachineSnapshot) => snapshot.status === 'done',
    // Counts visits, of which there are as many as accepted events.
    limit: STATES_MAX * 10,
  };
}

export function machinePaths(definition: MachineDefinition, machine: CompiledMachine, name: MachineName): MachinePaths {
  const reference = new Reference(definition);
  const { instances, ...options } = searchOptions(definition, machine, name);
  const shortest = getShortestPaths(definition.machine, options as never) as readonly {
    readonly state: AnyMachineSnapshot;
    readonly steps: readonly { readonly event: { readonly type: string } }[];
  }[];

  const found: (readonly EventInstance[])[] = [];
  const taken = new Set<string>();
  const entered = new Set<string>();
  const note = (fired: readonly TransitionLike[], snapshot: AnyMachineSnapshot): boolean => {
    const before = taken.size + entered.size;
    for (const transition of fired) taken.add(transitionName(transition));
    for (const leaf of leavesOf(snapshot)) entered.add(leaf);
    return taken.size + entered.size > before;
  };
  note([], reference.initial());
  for (const { state, steps } of shortest) {
    if (state.status === 'done') continue;
    // The first step is the pseudo-event that starts the machine.
    const events = steps.slice(1).map(({ event }) => instances.get(event)!);
    for (const instance of instances.values()) {
      if (!options.filterEvents(state, instance.event)) continue;
      const { snapshot } = reference.step(state, instance.event);
      if (note(reference.fired, snapshot)) found.push([...events, instance]);
    }
  }

  const all = nodesOf(definition.machine.root);
  return {
    paths: withoutBeginnings(found).map((events) => pathOf(reference, events)),
    states: shortest.length,
    leaves: {
      all: all.filter(({ type }) => type === 'atomic' || type === 'final').map(({ path }) => path.join('.')),
      covered: entered,
    },
    transitions: {
      all: all.flatMap((node) => candidatesOf(node).map(transitionName)),
      covered: taken,
    },
  };
}

/** Runs `events` by XState and writes down what each does. */
function pathOf(reference: Reference, events: readonly EventInstance[]): MachinePath {
  let snapshot = reference.initial();
  const steps = events.map((instance) => {
    const step = reference.step(snapshot, instance.event);
    snapshot = step.snapshot;
    return {
      event: instance.event.type,
      params: instance.params,
      configuration: valueName(snapshot.value),
      context: snapshot.context as Values,
      effects: step.effects,
    };
  });
  return { description: events.map(eventText).join(' → '), steps };
}

function withoutBeginnings(paths: readonly (readonly EventInstance[])[]): (readonly EventInstance[])[] {
  const key = (events: readonly EventInstance[]) => events.map(({ event }) => JSON.stringify(event)).join();
  const beginnings = new Set(paths.flatMap((path) => path.map((_, length) => key(path.slice(0, length)))));
  return paths.filter((path) => !beginnings.has(key(path)));
}

export function nodesOf(node: AnyStateNode): AnyStateNode[] {
  return [node, ...Object.values(node.states as Record<string, AnyStateNode>).flatMap(nodesOf)];
}

export function candidatesOf(node: AnyStateNode): TransitionLike[] {
  return [...node.transitions.values()].flat().concat(node.always ?? []) as never;
}

/** `connected.active: spi.send #1`; an `always` has no event. Several candidates for one event are numbered from 0. */
export function transitionName(transition: TransitionLike): string {
  const { source, eventType } = transition;
  const candidates = candidatesOf(source).filter((other) => other.eventType === eventType);
  return `${source.path.join('.') || '(root)'}: ${eventType === '' ? 'always' : eventType} #${candidates.indexOf(transition)}`;
}

/** Leaf states that a snapshot is in. */
function leavesOf(snapshot: AnyMachineSnapshot): string[] {
  const nodes = snapshot._nodes as readonly AnyStateNode[];
  return nodes.filter(({ type }) => type === 'atomic' || type === 'final').map(({ path }) => path.join('.'));
}
