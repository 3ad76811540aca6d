/** The catalogue of worlds: what is asked, within which bounds, under which assumptions. */

import { close } from './close.ts';
import { data } from './data.ts';
import { firstMessage } from './first-message.ts';
import { listener } from './listener.ts';
import type { CatalogWorld } from './catalog.ts';

export * from './catalog.ts';

/** Every world, by family. */
export const worlds: readonly CatalogWorld[] = [...data, ...firstMessage, ...close, ...listener];
