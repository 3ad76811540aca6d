/**
 * What is around the provider in the worlds: a switch with its structures and handles, an adapter, a wire, timers.
 *
 * Theory of operation: each is as little as the provider can notice. A message is a number, 1 for the first; its receive
 * reports it as its byte count, so who got what in which order shows. Rows go by the provider's numbers: structure and
 * work of request r, handle, caller, link, notifier and timer of socket s.
 */

import {
  add,
  all,
  choose,
  equal,
  type Expression,
  field,
  flag,
  language,
  less,
  type MachineDefinition,
  range,
  requestError,
  subtract,
} from '../../machines/index.ts';
import { machineOver } from '../support/machine.ts';

/** Requests of a world, and messages of one direction, at most. */
export const REQUESTS_MAX = 8;
const request = range(0, REQUESTS_MAX);
const message = range(0, REQUESTS_MAX);
/** Counts up to 2, which is one too many of what may happen once. */
const upToTwice = range(0, 2);
const once = (count: Expression): Expression => choose(less(count, 2), add(count, 1), 2);

/** The WSAOVERLAPPED of a request, and what the switch is told of it. */
export function overlapped(): MachineDefinition {
  const contract = {
    context: {
      polled: field(flag),
      /** Times that it was published, and that the completion up-call was made. */
      publications: field(upToTwice),
      notifications: field(upToTwice),
      error: field(requestError),
      message: field(message),
    },
    events: {
      calling: { polled: flag },
      marked: {},
      returned: {},
      published: { error: requestError, bytes: message },
      notified: { error: requestError, bytes: message },
    },
    effects: { refused: {} },
  } as const;
  const { context: c, event, update, effect } = language(contract);
  const outcome = { error: event('error'), message: event('bytes') };
  const told = {
    published: { target: 'done', actions: update({ ...outcome, publications: once(c.publications) }) },
    notified: { target: 'done', actions: update({ ...outcome, notifications: once(c.notifications) }) },
  } as const;
  const untimely = { published: 'untimely', notified: 'untimely' } as const;
  return machineOver(contract, {
    id: 'overlapped',
    initial: 'idle',
    states: {
      idle: { on: { calling: { target: 'calling', actions: update({ polled: event('polled') }) }, ...untimely } },
      // Inside the initiating call.
      calling: {
        on: { marked: 'pending', returned: { target: 'refused', actions: effect('refused', {}) }, ...untimely },
      },
      pending: { on: { returned: { target: 'pending' }, ...told } },
      done: { on: { returned: { target: 'done' }, ...told } },
      refused: { on: untimely },
      // Told of what was never started: nothing good comes from here.
      untimely: { on: {} },
    },
  });
}

/**
 * A switch's hold on one socket: it sends, receives and closes; some requests each way, each once.
 *
 * @param begins - `absent`: only once it hears that the socket is connected
 * @param patient - it closes only when all that it has called is done
 */
export function caller(
  sendsMax: number,
  receivesMax: number,
  begins: 'absent' | 'open' = 'open',
  patient = false,
): MachineDefinition {
  const call = { place: range(0, 2), request, polled: flag } as const;
  const contract = {
    context: {
      sends: field(range(0, Math.max(1, sendsMax))),
      receives: field(range(0, Math.max(1, receivesMax))),
      /** Requests that are done, or were refused. */
      ...(patient ? { done: field(range(0, sendsMax + receivesMax)) } : {}),
    },
    events: {
      ...{ send: call, receive: call, close: {}, ended: {} },
      ...(begins === 'absent' ? { connected: {} } : {}),
      ...(patient ? { done: {} } : {}),
    },
    effects: {
      calling: { request, polled: flag },
      pin: { request },
      send: { request, polled: flag },
      receive: { request, polled: flag },
      returned: { request },
      close: {},
    },
  } as const;
  const { context: c, event, when, update, effect } = language(contract);
  const done: Expression = { op: 'context', name: 'done' };
  const what = { request: event('request'), polled: event('polled') };
  const start = (type: 'send' | 'receive') => [
    effect('calling', what),
    effect('pin', { request: event('request') }),
    effect(type, what),
    effect('returned', { request: event('request') }),
  ];
  return machineOver(contract, {
    id: 'caller',
    initial: begins,
    states: {
      ...(begins === 'absent' ? { absent: { on: { connected: 'open', ended: 'closed' } } } : {}),
      open: {
        on: {
          send: {
            guard: when(all(equal(c.sends, event('place')), less(c.sends, sendsMax))),
            actions: [update({ sends: add(c.sends, 1) }), ...start('send')],
          },
          receive: {
            guard: when(all(equal(c.receives, event('place')), less(c.receives, receivesMax))),
            actions: [update({ receives: add(c.receives, 1) }), ...start('receive')],
          },
          close: {
            ...(patient ? { guard: when(equal(done, add(c.sends, c.receives))) } : {}),
            target: 'closed',
            actions: effect('close', {}),
          },
          ...(patient ? { done: { actions: update({ done: add(done, 1) }) } } : {}),
          // The provider was cleaned up.
          ended: 'closed',
        },
      },
      // The descriptor is none any more: calls with it don't reach the machines.
      closed: { on: { ended: { target: 'closed' } } },
    },
  });
}

/** The switch handle of a socket. */
export function handle(): MachineDefinition {
  const contract = {
    context: { closes: field(upToTwice), late: field(flag) },
    events: { created: {}, closed: {}, upcall: {} },
    effects: {},
  } as const;
  const { context: c, update } = language(contract);
  return machineOver(contract, {
    id: 'handle',
    initial: 'none',
    states: {
      none: { on: { created: 'open', upcall: { actions: update({ late: 1 }) } } },
      open: { on: { closed: { target: 'closed', actions: update({ closes: 1 }) }, upcall: { target: 'open' } } },
      closed: {
        on: {
          closed: { actions: update({ closes: once(c.closes) }) },
          upcall: { actions: update({ late: 1 }) },
        },
      },
    },
  });
}

/** The dispatcher's turn for completion up-calls of one socket: in order, one at a time. */
export function notifier(): MachineDefinition {
  const contract = {
    context: {
      d0: field(request),
      d1: field(request),
      d2: field(request),
      d3: field(request),
      count: field(range(0, REQUESTS_MAX)),
      current: field(request),
    },
    events: { due: { request }, notify: {}, return: { failed: flag } },
    effects: { notify: { request }, returned: { request, failed: flag } },
  } as const;
  const { context: c, event, when, update, effect } = language(contract);
  const put = (slot: Expression, at: number) => choose(equal(c.count, at), event('request'), slot);
  const due = {
    guard: when(less(c.count, REQUESTS_MAX)),
    actions: update({ d0: put(c.d0, 0), d1: put(c.d1, 1), d2: put(c.d2, 2), d3: put(c.d3, 3), count: add(c.count, 1) }),
  };
  const take = update({ current: c.d0, d0: c.d1, d1: c.d2, d2: c.d3, d3: 0, count: subtract(c.count, 1) });
  return machineOver(contract, {
    id: 'notifier',
    initial: 'idle',
    states: {
      idle: {
        on: {
          due,
          notify: {
            guard: when(less(0, c.count)),
            target: 'running',
            actions: [take, effect('notify', { request: c.current })],
          },
        },
      },
      // Inside WPUCompleteOverlappedRequest; the switch may call whatever it likes.
      running: {
        on: {
          due,
          return: {
            target: 'idle',
            actions: [effect('returned', { request: c.current, failed: event('failed') }), update({ current: 0 })],
          },
        },
      },
    },
  });
}

/**
 * A work request at the adapter.
 *
 * @param failing - one that has a message can fail for being too small for it
 */
export function work(failing = false): MachineDefinition {
  const contract = {
    context: { message: field(message) },
    events: {
      post: {},
      landed: { message },
      complete: {},
      broken: {},
      flush: {},
      report: {},
      destroyed: {},
      ...(failing ? { fail: {} } : {}),
    },
    effects: {
      ...(failing ? { failed: {} } : {}),
      handOver: {},
      completed: { bytes: message },
      noticed: {},
      report: {},
      flushed: {},
    },
  } as const;
  const { context: c, event, update, effect } = language(contract);
  const forget = update({ message: 0 });
  const destroyed = { target: 'idle', actions: forget } as const;
  return machineOver(contract, {
    id: 'work',
    initial: 'idle',
    states: {
      idle: {
        on: {
          post: { target: 'posted', actions: effect('handOver', {}) },
          landed: { target: 'idle' },
          broken: { target: 'idle' },
          report: { target: 'idle' },
          destroyed: { target: 'idle' },
        },
      },
      posted: {
        on: {
          landed: { target: 'landed', actions: update({ message: event('message') }) },
          broken: 'failed',
          destroyed,
        },
      },
      // Carried out: whatever happens to the connection, its completion is in the queue.
      landed: {
        on: {
          complete: { target: 'idle', actions: [effect('completed', { bytes: c.message }), forget] },
          broken: { target: 'landed' },
          destroyed,
          ...(failing
            ? {
                fail: {
                  target: 'reporting',
                  actions: [effect('failed' as 'report', {}), effect('report', {}), forget],
                },
              }
            : {}),
        },
      },
      // The connection is in error: it will be flushed.
      failed: {
        on: {
          flush: { target: 'reporting', actions: [effect('noticed', {}), effect('report', {})] },
          landed: { target: 'failed' },
          broken: { target: 'failed' },
          destroyed,
        },
      },
      // A flush moves the socket first; that can end the connector, and then nobody is told of this one.
      reporting: {
        on: {
          report: { target: 'idle', actions: effect('flushed', {}) },
          landed: { target: 'reporting' },
          broken: { target: 'reporting' },
          destroyed,
        },
      },
    },
  });
}

/**
 * Messages of one direction under way, and the receives that wait for them: first to first.
 *
 * A message stays until the receiving end is gone, even when its sender is.
 */
export function channel(): MachineDefinition {
  const contract = {
    context: {
      m0: field(request),
      m1: field(request),
      messages: field(range(0, 2)),
      r0: field(request),
      r1: field(request),
      receives: field(range(0, 2)),
      /** Messages taken so far: the number of the next one, less 1. */
      taken: field(range(0, 2)),
    },
    events: { send: { request }, receive: { request }, deliver: {}, clear: {} },
    effects: { acknowledged: { request }, landed: { request, message } },
  } as const;
  const { context: c, event, when, update, effect } = language(contract);
  const put = (slot: Expression, count: Expression, at: number) => choose(equal(count, at), event('request'), slot);
  return machineOver(contract, {
    id: 'channel',
    initial: 'open',
    states: {
      open: {
        on: {
          send: {
            actions: update({
              m0: put(c.m0, c.messages, 0),
              m1: put(c.m1, c.messages, 1),
              messages: add(c.messages, 1),
            }),
          },
          receive: {
            actions: update({
              r0: put(c.r0, c.receives, 0),
              r1: put(c.r1, c.receives, 1),
              receives: add(c.receives, 1),
            }),
          },
          deliver: {
            guard: when(all(less(0, c.messages), less(0, c.receives))),
            actions: [
              effect('landed', { request: c.r0, message: add(c.taken, 1) }),
              effect('acknowledged', { request: c.m0 }),
              update({
                m0: c.m1,
                m1: 0,
                messages: subtract(c.messages, 1),
                r0: c.r1,
                r1: 0,
                receives: subtract(c.receives, 1),
                taken: add(c.taken, 1),
              }),
            ],
          },
          clear: {
            target: 'closed',
            actions: update({ m0: 0, m1: 0, messages: 0, r0: 0, r1: 0, receives: 0, taken: 0 }),
          },
        },
      },
      // Its receiving end is gone.
      closed: { on: { send: { target: 'closed' }, clear: { target: 'closed' } } },
    },
  });
}

/**
 * One end of a connection: the connector of a socket.
 *
 * @param begins - `absent`: it is there once it is made
 */
export function link(begins: 'absent' | 'up' = 'up'): MachineDefinition {
  const contract = {
    context: {},
    events: {
      post: { request },
      disconnect: {},
      destroyed: {},
      peerLost: {},
      arrive: {},
      fail: {},
      notice: {},
      ...(begins === 'absent' ? { made: {} } : {}),
    },
    effects: {
      send: { request },
      refuse: { request },
      breakWork: {},
      dropWork: {},
      tellPeer: {},
      disconnected: {},
    },
  } as const;
  const { event, effect } = language(contract);
  const what = { request: event('request') };
  const drop = { target: 'gone', actions: [effect('dropWork', {})] };
  const whole = {
    post: { actions: effect('send', what) },
    disconnect: { target: 'lost', actions: [effect('breakWork', {}), effect('tellPeer', {})] },
    destroyed: { target: 'gone', actions: [effect('dropWork', {}), effect('tellPeer', {})] },
    fail: { target: 'lost', actions: [effect('breakWork', {}), effect('tellPeer', {})] },
  };
  const refuse = { post: { actions: effect('refuse', what) } };
  return machineOver(contract, {
    id: 'link',
    initial: begins,
    states: {
      ...(begins === 'absent'
        ? {
            absent: {
              on: { made: 'up', peerLost: 'early', disconnect: { target: 'absent' }, destroyed: { target: 'absent' } },
            },
            // The other end came, and is gone before this one heard of it.
            early: {
              on: { made: 'severed', peerLost: { target: 'early' }, disconnect: 'gone', destroyed: 'gone' },
            },
          }
        : {}),
      up: { on: { ...whole, peerLost: 'severed' } },
      // The other end is gone; what it had sent before can still arrive.
      severed: {
        on: {
          ...whole,
          peerLost: { target: 'severed' },
          arrive: { target: 'lost', actions: effect('breakWork', {}) },
        },
      },
      // In error; the event that says so is in the queue.
      lost: {
        on: {
          ...refuse,
          disconnect: { target: 'lost' },
          peerLost: { target: 'lost' },
          notice: { target: 'down', actions: effect('disconnected', {}) },
          destroyed: drop,
        },
      },
      down: {
        on: { ...refuse, disconnect: { target: 'down' }, peerLost: { target: 'down' }, destroyed: drop },
      },
      gone: {
        on: { disconnect: { target: 'gone' }, peerLost: { target: 'gone' }, destroyed: { target: 'gone' } },
      },
    },
  });
}

/** A socket's timer: it may expire at any time. */
export function timer(): MachineDefinition {
  const contract = {
    context: {},
    events: { start: {}, stop: {}, expire: {} },
    effects: { expired: {} },
  } as const;
  const { effect } = language(contract);
  return machineOver(contract, {
    id: 'timer',
    initial: 'idle',
    states: {
      idle: { on: { start: 'running', stop: { target: 'idle' } } },
      // Started anew, it only counts from then on.
      running: {
        on: { start: { target: 'running' }, stop: 'idle', expire: { target: 'idle', actions: effect('expired', {}) } },
      },
    },
  });
}

/** The first message of a connection, as far as its length matters: it may be longer than what is there for it. */
export function text(): MachineDefinition {
  const contract = {
    context: {},
    events: { lengthen: {}, arrived: {}, copy: { request } },
    effects: { copied: { request }, tooLong: { request } },
  } as const;
  const { event, effect } = language(contract);
  const what = { request: event('request') };
  return machineOver(contract, {
    id: 'text',
    initial: 'short',
    states: {
      short: { on: { lengthen: 'long', arrived: 'arrivedShort' } },
      long: { on: { arrived: 'arrivedLong' } },
      arrivedShort: { on: { copy: { actions: effect('copied', what) } } },
      arrivedLong: { on: { copy: { actions: effect('tooLong', what) } } },
    },
  });
}
