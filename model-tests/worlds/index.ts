/** The catalogue of worlds: what is asked, within which bounds, under which assumptions. */

import { close } from './close.ts';
import { connectingSide } from './connecting.ts';
import { data } from './data.ts';
import { firstMessage } from './first-message.ts';
import { handOver } from './hand-over.ts';
import { listener } from './listener.ts';
import { remote } from './remote.ts';
import { startUp } from './starting.ts';
import type { CatalogWorld } from './catalog.ts';

export * from './catalog.ts';

/** Every world, by family. */
export const worlds: readonly CatalogWorld[] = [
  ...data,
  ...firstMessage,
  ...close,
  ...listener,
  ...connectingSide,
  ...startUp,
  ...remote,
  ...handOver,
];
