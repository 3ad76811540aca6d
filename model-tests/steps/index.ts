/** Every property of a step, of every machine; see `property.ts`. */

import {
  compileMachines,
  explorationLimits,
  type Limits,
  type MachineName,
  machineNames,
  type Values,
} from '../../machines/index.ts';
import { arrivalProperties } from './arrival.ts';
import { eventProperties } from './events.ts';
import { inputsAlone, Stepper } from './alone.ts';
import type { Step, StepProperty } from './property.ts';
import { resourceProperties } from './provider.ts';
import { queuesProperties } from './queues.ts';
import { requestProperties } from './request.ts';
import { socketProperties } from './socket.ts';

export * from './alone.ts';
export * from './property.ts';

/** Every property of a step, of machines made for `limits`. */
export const stepPropertiesOf = (limits: Limits): readonly StepProperty[] => [
  ...resourceProperties(limits),
  ...socketProperties,
  ...eventProperties,
  ...arrivalProperties,
  ...queuesProperties(limits),
  ...requestProperties,
];

/** The same of machines made for the limits of exploration. */
export const stepProperties = stepPropertiesOf(explorationLimits);

/** What came of asking one machine everything that it can be asked alone. */
export interface StepCheck {
  readonly machine: MachineName;
  readonly properties: number;
  /** Questions that it was asked. */
  readonly questions: number;
  /** Properties that some step breaks, with one that does. */
  readonly broken: readonly string[];
  /** Properties that say nothing of any step. */
  readonly silent: readonly string[];
}

/** Asks every machine, alone, and judges its steps. */
export function checkSteps(): readonly StepCheck[] {
  return machineNames.map((machine, number) => {
    const tables = compileMachines(explorationLimits)[number]!;
    const properties = stepProperties.filter((property) => property.machine === machine);
    const stepper = new Stepper(tables);
    const broken = new Map<string, string>();
    const silent = new Set(properties.map(({ name }) => name));
    const inputs = inputsAlone(machine);
    for (const input of inputs) {
      const step = stepper.step(input.configuration, input);
      for (const { name, holds } of properties) {
        const verdict = holds(step);
        if (verdict !== null) silent.delete(name);
        if (verdict === false && !broken.has(name)) broken.set(name, stepText(step));
      }
    }
    return {
      machine,
      properties: properties.length,
      questions: inputs.length,
      broken: Array.from(broken, ([name, step]) => `${name}: ${step}`),
      silent: [...silent],
    };
  });
}

/** `connected.active: spi.closeSocket() → closing.draining: stopEvents() disconnect()` */
export function stepText({ from, to, event, given, effects, refused }: Step): string {
  const call = (name: string, values: Values) =>
    `${name}(${Object.entries(values)
      .map(([key, value]) => `${key}=${value}`)
      .join(', ')})`;
  if (refused) return `${from}: ${call(event, given)} is refused`;
  return `${from}: ${call(event, given)} → ${to}: ${effects.map(({ name, args }) => call(name, args)).join(' ')}`;
}
