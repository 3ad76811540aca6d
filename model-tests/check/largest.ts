/** The largest world that is searched to its end: more than 10^9 states, by exchange of requests. */

import { anyOrder, anyOrderProperties } from '../worlds/any-order.ts';

const options = { name: 'any order, 3 sends and 2 receives', sends: 3, receives: 2, closing: true, failing: true };

export const largest = {
  what: 'two sockets, three sends and two receives each, called in any order; both close, the network fails',
  definition: anyOrder(options),
  properties: anyOrderProperties(options),
} as const;
