/**
 * A violation, for people and for other programs: its path, what the provider saw of it, and the picture of that.
 *
 * Theory of operation: a path is rules by name, so that it can be gone again while the world still has them. What the
 * provider saw is a journal like any driver's: the events that reach its machines, in the order in which they did, so that
 * `wsdirect replay` and `wsdirect check --journal` take it. What is around the provider becomes notes in the diagram.
 */

import { readFileSync } from 'node:fs';
import { toSequenceDiagram } from '../../driver/diagram.ts';
import { Journal, memorySink } from '../../driver/journal/journal.ts';
import { readJournal } from '../../driver/journal/reader.ts';
import { digestOf, digestOfRun, EFFECT_STRIDE, explorationLimits, machineNames, System } from '../../machines/index.ts';
import { type Verdict, World, type WorldDefinition } from '../explorer/index.ts';

/** A path as a file has it. */
export interface PathFile {
  readonly world: string;
  readonly property: string;
  readonly because: string;
  /** Names of rules, from the initial state on, and of those that can go on for ever from there. */
  readonly path: readonly string[];
  readonly cycle: readonly string[];
}

export function pathFile({ name, rules }: WorldDefinition, { property, because, path, cycle }: Verdict): PathFile {
  const names = (numbers: readonly number[]) => numbers.map((rule) => rules[rule]!.name);
  return { world: name, property, because, path: names(path), cycle: names(cycle) };
}

/** @throws Error when it is no path file, or names rules that the world does not have */
export function readPath(definition: WorldDefinition, file: string): PathFile & { readonly rules: readonly number[] } {
  const found = JSON.parse(readFileSync(file, 'utf8')) as Partial<PathFile>;
  const { world, property, because, path, cycle } = found;
  if (typeof world !== 'string' || typeof property !== 'string' || !Array.isArray(path) || !Array.isArray(cycle)) {
    throw new Error('it is not the path of a violation');
  }
  if (world !== definition.name) throw new Error(`it is a path of world '${world}'`);
  const rules = [...path, ...cycle].map((name: string) => {
    const rule = definition.rules.findIndex((candidate) => candidate.name === name);
    if (rule < 0) throw new Error(`world '${world}' has no rule '${name}' any more`);
    return rule;
  });
  return { world, property, because: because ?? '', path, cycle, rules };
}

/** What the provider saw of a path. */
export interface Recording {
  /** A journal, as bytes. */
  readonly journal: Uint8Array;
  /** A Mermaid sequence diagram. */
  readonly diagram: string;
}

interface Applied {
  readonly event: number;
  readonly row: number;
  readonly parameters: readonly [number, number, number, number, number];
}

/** Lets the rules happen and records them. @returns null for a world whose routes are not production's */
export function record(definition: WorldDefinition, rules: readonly number[]): Recording | null {
  if (definition.routes !== undefined) return null;
  const { start = [] } = definition;
  const world = new World({ ...definition, start: [] });
  const own = world.system.eventBase[machineNames.length] ?? Number.POSITIVE_INFINITY;
  const applied: Applied[] = [];
  const notes = new Map<number, string[]>();
  const note = (text: string): void => void notes.set(applied.length, [...(notes.get(applied.length) ?? []), text]);
  const original = world.system.apply.bind(world.system);
  world.system.apply = (event, row, p0 = 0, p1 = 0, p2 = 0, p3 = 0, p4 = 0) => {
    // As the dispatcher: a step that is refused is not on record.
    original(event, row, p0, p1, p2, p3, p4);
    if (event < own) applied.push({ event, row, parameters: [p0, p1, p2, p3, p4] });
  };
  for (const { send, row, with: parameters = [] } of start) {
    const [machine, event] = send.split('/') as [string, string];
    const [p0, p1, p2, p3, p4] = parameters;
    world.apply(world.system.eventId(machine, event), row, p0, p1, p2, p3, p4);
  }
  note('the world begins');
  for (const rule of rules) {
    note(definition.rules[rule]!.name);
    try {
      world.fire(rule);
    } catch (error) {
      note((error as Error).message);
      break;
    }
  }

  const machines = world.system.machines.slice(0, machineNames.length);
  const system = new System(machines);
  const sink = memorySink();
  const journal = new Journal({
    mode: 'file',
    sink,
    metadata: {
      machinesDigest: digestOf(machines),
      limits: { ...(definition.limits ?? explorationLimits) },
      createdBy: 'wsdirect check',
      adapter: 'world',
      host: definition.name,
      base: 'empty',
    },
  });
  for (const { event, row, parameters } of applied) {
    system.apply(event, row, ...parameters);
    const state = system.rows[system.machineOfEvent(event)]!.states[row]!;
    const effects = system.effects.top / EFFECT_STRIDE;
    journal.append(event | (state << 16) | (effects << 24), row, ...parameters, 0);
    system.effects.top = 0;
  }
  journal.close(digestOfRun(system));
  const bytes = sink.bytes();
  // Of broken machines there is nothing to replay the journal with, and so no picture either.
  const diagram =
    definition.machines === undefined ? toSequenceDiagram(readJournal(bytes), { steps: applied.length, notes }) : '';
  return { journal: bytes, diagram };
}
