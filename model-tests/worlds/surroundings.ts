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
  any,
  choose,
  type Domain,
  equal,
  type Expression,
  type Field,
  field,
  flag,
  language,
  less,
  type Limits,
  type MachineDefinition,
  not,
  oneOf,
  range,
  requestError,
  type Signature,
  subtract,
  WSA,
} from '../../machines/index.ts';
import { machineOver } from '../support/machine.ts';

/** One of everything but sockets: the least there can be. */
export const smallest: Limits = {
  startupsMax: 1,
  socketsMax: 2,
  backlogMax: 1,
  queueDepth: 1,
  overflowMax: 1,
  piecesMax: 1,
  referencesMax: 1,
};

/** What a call can return. */
export const errorNumber = range(0, WSA.WSATRY_AGAIN);
/** What WPUCreateSocketHandle can fail with. */
export const handleError = oneOf(WSA.WSAENOBUFS, WSA.WSAEMFILE);
/** `error` is one that no call ever returns (A.2). */
export const isNeverReturned = (error: Expression): Expression =>
  any(equal(error, WSA.WSAEINPROGRESS), equal(error, WSA.WSAEINTR));

/** Requests of a world, and messages of one direction, at most. */
export const REQUESTS_MAX = 16;
export const request = range(0, REQUESTS_MAX);
export const message = range(0, REQUESTS_MAX);
/** Counts up to 2, which is one too many of what may happen once. */
const upToTwice = range(0, 2);
const once = (count: Expression): Expression => choose(less(count, 2), add(count, 1), 2);

/** A list in a machine's memory: fields `x0`, `x1`, … for its members, oldest first, and one for how many there are. */
export function listIn(letter: string, countName: string, places: number) {
  const context = (name: string): Expression => ({ op: 'context', name });
  const names = Array.from({ length: places }, (_, place) => `${letter}${place}`);
  const length = context(countName);
  type Changes = Readonly<Record<string, Expression>>;
  return {
    /** Its fields, with members of `member`. */
    fields: (member: Domain): Readonly<Record<string, Field>> =>
      Object.fromEntries([...names.map((name) => [name, field(member)]), [countName, field(range(0, places))]]),
    length,
    first: context(names[0]!),
    /** Puts `value` behind the others. */
    put: (value: Expression): Changes => ({
      ...Object.fromEntries(names.map((name, at) => [name, choose(equal(length, at), value, context(name))])),
      [countName]: add(length, 1),
    }),
    /** Takes the first out. */
    take: {
      ...Object.fromEntries(names.map((name, at) => [name, at + 1 < places ? context(names[at + 1]!) : 0])),
      [countName]: subtract(length, 1),
    } as Changes,
    clear: Object.fromEntries([...names, countName].map((name) => [name, 0])) as Changes,
  };
}

/**
 * The WSAOVERLAPPED of a request, and what the switch is told of it.
 *
 * @param refusable - the adapter can refuse what is posted: it knows whether its initiating call is running, and says when
 *   it is done
 */
export function overlapped(refusable = false): MachineDefinition {
  const contract = {
    context: {
      polled: field(flag),
      /** Times that it was published, and that the completion up-call was made. */
      publications: field(upToTwice),
      notifications: field(upToTwice),
      error: field(requestError),
      message: field(message),
      ...(refusable ? { inCall: field(flag) } : {}),
    } as Readonly<Record<string, Field>>,
    events: {
      calling: { polled: flag },
      marked: {},
      ...(refusable ? { unmarked: {} } : {}),
      returned: {},
      ...(refusable ? { noRoom: {} } : {}),
      published: { error: requestError, bytes: message },
      notified: { error: requestError, bytes: message },
    },
    effects: { refused: {}, ...(refusable ? { refusedPost: {}, failedPost: {}, told: {} } : {}) } as Signature,
  } as const;
  const { context: c, event, when, update, effect } = language(contract);
  const isTold = (count: 'publications' | 'notifications') => ({
    target: 'done',
    actions: [
      update({ error: event('error'), message: event('bytes'), [count]: once(c[count]!) }),
      ...(refusable ? [effect('told', {})] : []),
    ],
  });
  const told = { published: isTold('publications'), notified: isTold('notifications') };
  const untimely = { published: 'untimely', notified: 'untimely' };
  const over = refusable ? [update({ inCall: 0 })] : [];
  const returns = (state: string) => (refusable ? { actions: over } : { target: state });
  return machineOver(contract, {
    id: 'overlapped',
    initial: 'idle',
    states: {
      idle: {
        on: {
          calling: {
            target: 'calling',
            actions: update({ polled: event('polled'), ...(refusable ? { inCall: 1 } : {}) }),
          },
          ...untimely,
        },
      },
      // Inside the initiating call.
      calling: {
        on: {
          marked: 'pending',
          returned: { target: 'refused', actions: [...over, effect('refused', {})] },
          ...untimely,
        },
      },
      pending: {
        on: {
          returned: returns('pending'),
          ...(refusable
            ? {
                // Inside the call nothing was started; later the request fails, and the connection with it.
                noRoom: [
                  { guard: when(c['inCall']!), actions: effect('refusedPost', {}) },
                  { actions: effect('failedPost', {}) },
                ],
                unmarked: 'refused',
              }
            : {}),
          ...told,
        },
      },
      done: { on: { returned: returns('done'), ...told } },
      refused: { on: { ...(refusable ? { returned: returns('refused') } : {}), ...untimely } },
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
  const call = { place: request, request, polled: flag } as const;
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

/** Completion up-calls of one socket that can be due at once in most worlds. */
export const DUE_MAX = 4;

/**
 * The dispatcher's turn for completion up-calls of one socket: in order, one at a time.
 *
 * @param places - for those that are due
 */
export function notifier(places = DUE_MAX): MachineDefinition {
  const dues = listIn('d', 'count', places);
  const contract = {
    context: { ...dues.fields(request), current: field(request) } as Readonly<Record<string, Field>>,
    events: { due: { request }, notify: {}, return: { failed: flag } },
    effects: { notify: { request }, returned: { request, failed: flag } },
  } as const;
  const { context: c, event, when, update, effect } = language(contract);
  const due = { actions: update(dues.put(event('request'))) };
  return machineOver(contract, {
    id: 'notifier',
    initial: 'idle',
    states: {
      idle: {
        on: {
          due,
          notify: {
            guard: when(less(0, dues.length)),
            target: 'running',
            actions: [update({ current: dues.first, ...dues.take }), effect('notify', { request: c['current']! })],
          },
        },
      },
      // Inside WPUCompleteOverlappedRequest; the switch may call whatever it likes.
      running: {
        on: {
          due,
          return: {
            target: 'idle',
            actions: [effect('returned', { request: c['current']!, failed: event('failed') }), update({ current: 0 })],
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
 *
 * @param places - of messages, and of receives
 * @param member - what names a request
 */
export function channel(places = 2, member: Domain = request): MachineDefinition {
  const [messages, receives] = [listIn('m', 'messages', places), listIn('r', 'receives', places)];
  const contract = {
    context: {
      ...messages.fields(member),
      ...receives.fields(member),
      /** Messages taken so far: the number of the next one, less 1. */
      taken: field(range(0, places)),
    } as Readonly<Record<string, Field>>,
    events: { send: { request: member }, receive: { request: member }, deliver: {}, clear: {} },
    effects: { acknowledged: { request: member }, landed: { request: member, message } },
  } as const;
  const { context: c, event, when, update, effect } = language(contract);
  const next = add(c['taken']!, 1);
  return machineOver(contract, {
    id: 'channel',
    initial: 'open',
    states: {
      open: {
        on: {
          send: { actions: update(messages.put(event('request'))) },
          receive: { actions: update(receives.put(event('request'))) },
          deliver: {
            guard: when(all(less(0, messages.length), less(0, receives.length))),
            actions: [
              effect('landed', { request: receives.first, message: next }),
              effect('acknowledged', { request: messages.first }),
              update({ ...messages.take, ...receives.take, taken: next }),
            ],
          },
          clear: { target: 'closed', actions: update({ ...messages.clear, ...receives.clear, taken: 0 }) },
        },
      },
      // Its receiving end is gone.
      closed: { on: { send: { target: 'closed' }, clear: { target: 'closed' } } },
    },
  });
}

export interface LinkOptions {
  readonly begins?: 'absent' | 'up';
  readonly refusing?: boolean;
  readonly removable?: boolean;
}

/**
 * One end of a connection: the connector of a socket.
 *
 * @param begins - `absent`: it is there once it is made
 * @param removable - its device can be removed, and with it what was posted
 * @param refusing - its adapter can refuse to take what is posted, which can be told to wait (fence); it fails at any time
 */
export function link({ begins = 'up', refusing = false, removable = false }: LinkOptions = {}): MachineDefinition {
  const what = { request, ...(refusing ? { fence: flag } : {}) };
  const contract = {
    context: {
      ...(refusing ? { full: field(flag) } : {}),
      ...(removable ? { removed: field(flag) } : {}),
    } as Readonly<Record<string, Field>>,
    events: {
      post: what,
      ...(refusing ? { fill: {} } : {}),
      disconnect: {},
      destroyed: {},
      peerLost: {},
      arrive: {},
      fail: {},
      notice: {},
      ...(begins === 'absent' ? { made: {} } : {}),
      ...(removable ? { remove: {} } : {}),
    } as Signature,
    effects: {
      send: what,
      refuse: { request },
      ...(refusing ? { noRoom: { request } } : {}),
      breakWork: {},
      dropWork: {},
      tellPeer: {},
      disconnected: {},
      ...(removable ? { removed: {} } : {}),
    } as Signature,
  } as const;
  const { context: c, event, when, update, effect } = language(contract);
  const posted = { request: event('request') };
  const emptied = refusing ? [update({ full: 0 })] : [];
  const drop = { target: 'gone', actions: [...emptied, effect('dropWork', {})] };
  const lose = { target: 'lost', actions: [...emptied, effect('breakWork', {}), effect('tellPeer', {})] };
  const send = { actions: effect('send', { ...posted, ...(refusing ? { fence: event('fence') } : {}) }) };
  const remove = (...told: ReturnType<typeof effect>[]) =>
    removable
      ? {
          remove: {
            target: 'gone',
            actions: [update({ removed: 1 }), effect('dropWork', {}), ...told, effect('removed', {})],
          },
        }
      : {};
  const whole = {
    post: refusing ? [{ guard: when(c['full']!), actions: [...emptied, effect('noRoom', posted)] }, send] : send,
    ...(refusing ? { fill: { guard: when(not(c['full']!)), actions: update({ full: 1 }) } } : {}),
    disconnect: lose,
    destroyed: { target: 'gone', actions: [...emptied, effect('dropWork', {}), effect('tellPeer', {})] },
    fail: lose,
    ...remove(effect('tellPeer', {})),
  };
  const refuse = { post: { actions: effect('refuse', posted) } };
  /** What changes nothing in `state`. */
  const ignoring = (state: string) =>
    Object.fromEntries(
      [...(refusing ? ['fail'] : []), 'disconnect', 'peerLost'].map((name) => [name, { target: state }]),
    );
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
          arrive: { target: 'lost', actions: [...emptied, effect('breakWork', {})] },
        },
      },
      // In error; the event that says so is in the queue.
      lost: {
        on: {
          ...refuse,
          ...ignoring('lost'),
          notice: { target: 'down', actions: effect('disconnected', {}) },
          destroyed: drop,
          ...remove(),
        },
      },
      down: { on: { ...refuse, ...ignoring('down'), destroyed: drop, ...remove() } },
      gone: { on: { ...ignoring('gone'), destroyed: { target: 'gone' } } },
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
