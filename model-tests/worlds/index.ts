/** The catalogue of worlds: what is asked, within which bounds, under which assumptions. */

import { acceptance } from './accepting.ts';
import { anyOrderWorlds } from './any-order.ts';
import { stateCalls } from './calls.ts';
import { close } from './close.ts';
import { connectingSide } from './connecting.ts';
import { connectors } from './connector.ts';
import { data } from './data.ts';
import { firstMessage } from './first-message.ts';
import { handOver } from './hand-over.ts';
import { large } from './large.ts';
import { listener } from './listener.ts';
import { remote } from './remote.ts';
import { sessions } from './session.ts';
import { startUp } from './starting.ts';
import { frameConditions } from './frame-conditions.ts';
import type { CatalogWorld } from './catalog.ts';
import { wakeUp } from './wake-up.ts';

export * from './catalog.ts';
export * from './statements.ts';

/** Those that the provider's machines are in. */
const ofTheProvider: readonly CatalogWorld[] = [
  ...stateCalls,
  ...data,
  ...firstMessage,
  ...close,
  ...listener,
  ...acceptance,
  ...connectingSide,
  ...startUp,
  ...remote,
  ...handOver,
  ...sessions,
  ...large,
];

/** Every world, by family; each that the provider is in is asked for its frame conditions too. */
export const worlds: readonly CatalogWorld[] = [
  ...ofTheProvider.map((world) => ({
    ...world,
    properties: [...world.properties, ...frameConditions(world.definition)],
  })),
  ...wakeUp,
  ...connectors,
  ...anyOrderWorlds,
];
