/**
 * A connected pair that transfers by RDMA too, registers and deregisters, splits requests, and whose adapter refuses.
 *
 * Theory of operation: the pair of `connected-pair.ts` with a wire that carries writes and reads besides messages, in
 * the order in which they were posted: it goes past a read that has not been answered, unless it is told to wait (fence).
 * Each socket has one registration, for its own requests and for the peer. The adapter lets the peer reach it exactly
 * while the provider has it registered there; whether that was right is what the world asks.
 */

import {
  add,
  all,
  any,
  choose,
  equal,
  type Expression,
  field,
  flag,
  language,
  less,
  type MachineDefinition,
  not,
  oneOf,
  range,
  requestError,
  subtract,
  WSA,
} from '../../machines/index.ts';
import type { Performance, Rule, WorldDefinition } from '../explorer/index.ts';
import { machineOver } from '../support/machine.ts';
import { connectedPair, type PairOptions } from './connected-pair.ts';
import { errorNumber, link, listIn, message, overlapped, request } from './surroundings.ts';

/** What a request of the wire is. */
const Kind = { send: 0, write: 1, read: 2 } as const;
const kind = range(0, 2);
const calls = ['send', 'receive', 'write', 'read'] as const;
const PIECES_MAX = 2;

/** A switch's hold on one socket, as `surroundings.ts` has it, with RDMA. */
function caller(): MachineDefinition {
  const counter = range(0, 4);
  const call = { place: range(0, 3), request, polled: flag, pieces: range(1, PIECES_MAX) } as const;
  const what = { request, polled: flag, pieces: range(1, PIECES_MAX) } as const;
  const contract = {
    context: { sends: field(counter), receives: field(counter) },
    events: { send: call, receive: call, write: call, read: call, close: {}, ended: {} },
    effects: {
      calling: { request, polled: flag },
      send: what,
      receive: what,
      write: what,
      read: what,
      returned: { request },
      close: {},
    },
  } as const;
  const { context: c, event, when, update, effect } = language(contract);
  const start = (type: (typeof calls)[number]) => {
    const [name, count] = type === 'receive' ? (['receives', c.receives] as const) : (['sends', c.sends] as const);
    return {
      guard: when(equal(count, event('place'))),
      actions: [
        update({ [name]: add(count, 1) }),
        effect('calling', { request: event('request'), polled: event('polled') }),
        effect(type, { request: event('request'), polled: event('polled'), pieces: event('pieces') }),
        effect('returned', { request: event('request') }),
      ],
    };
  };
  return machineOver(contract, {
    id: 'caller',
    initial: 'open',
    states: {
      open: {
        on: {
          send: start('send'),
          receive: start('receive'),
          write: start('write'),
          read: start('read'),
          close: { target: 'closed', actions: effect('close', {}) },
          ended: 'closed',
        },
      },
      closed: { on: { ended: { target: 'closed' } } },
    },
  });
}

/** A request at the adapter, of one or several work requests. */
function work(): MachineDefinition {
  const pieces = range(0, PIECES_MAX);
  const contract = {
    context: {
      message: field(message),
      /** Work requests without a completion. */
      left: field(pieces),
      error: field(requestError),
    },
    events: {
      post: { fence: flag, pieces: range(1, PIECES_MAX) },
      landed: { message },
      denied: { error: requestError },
      complete: {},
      piece: {},
      fail: {},
      broken: {},
      flush: {},
      report: {},
      destroyed: {},
    },
    effects: {
      handOver: { fence: flag },
      completed: { bytes: message },
      failed: { error: requestError },
      noticed: {},
      report: {},
      flushed: {},
    },
  } as const;
  const { context: c, event, when, update, effect } = language(contract);
  const forget = update({ message: 0, left: 0, error: 0 });
  const destroyed = { target: 'idle', actions: forget } as const;
  const stay = (state: string) => ({ target: state });
  const one = update({ left: subtract(c.left, 1) });
  const last = when(equal(c.left, 1));
  return machineOver(contract, {
    id: 'work',
    initial: 'idle',
    states: {
      idle: {
        on: {
          post: {
            target: 'posted',
            actions: [update({ left: event('pieces') }), effect('handOver', { fence: event('fence') })],
          },
          landed: stay('idle'),
          denied: stay('idle'),
          broken: stay('idle'),
          report: stay('idle'),
          destroyed: stay('idle'),
        },
      },
      posted: {
        on: {
          landed: { target: 'landed', actions: update({ message: event('message') }) },
          // The first of several is carried out before the rest.
          piece: { guard: when(less(1, c.left)), actions: [one, effect('completed', { bytes: 0 })] },
          denied: { target: 'denied', actions: update({ error: event('error') }) },
          broken: 'failed',
          destroyed,
        },
      },
      landed: {
        on: {
          complete: [
            { guard: last, target: 'idle', actions: [effect('completed', { bytes: c.message }), forget] },
            { actions: [one, effect('completed', { bytes: c.message })] },
          ],
          broken: stay('landed'),
          destroyed,
        },
      },
      // The adapter could not carry it out; the connection goes with it.
      denied: {
        on: {
          fail: [
            { guard: last, target: 'idle', actions: [effect('failed', { error: c.error }), forget] },
            { target: 'failed', actions: [one, effect('failed', { error: c.error })] },
          ],
          broken: stay('denied'),
          landed: stay('denied'),
          destroyed,
        },
      },
      failed: {
        on: {
          flush: { target: 'reporting', actions: [effect('noticed', {}), effect('report', {})] },
          landed: stay('failed'),
          denied: stay('failed'),
          broken: stay('failed'),
          destroyed,
        },
      },
      reporting: {
        on: {
          report: [
            { guard: last, target: 'idle', actions: [forget, effect('flushed', {})] },
            { target: 'failed', actions: [one, effect('flushed', {})] },
          ],
          landed: stay('reporting'),
          broken: stay('reporting'),
          destroyed,
        },
      },
    },
  });
}

/** What is under way in one direction, and the receives that wait for its messages; its row is the receiving socket. */
function wire(): MachineDefinition {
  const places = [0, 1, 2] as const;
  const receives = listIn('r', 'receives', 2);
  const contract = {
    context: {
      q0: field(request),
      q1: field(request),
      q2: field(request),
      k0: field(kind),
      k1: field(kind),
      k2: field(kind),
      f0: field(flag),
      f1: field(flag),
      f2: field(flag),
      posted: field(range(0, 3)),
      ...receives.fields(request),
      /** Messages taken so far. */
      taken: field(range(0, 2)),
      /** A read was sent and its data has not come; one at a time. */
      reading: field(flag),
      reader: field(request),
    },
    events: {
      post: { request, kind, fence: flag },
      receive: { request },
      deliver: {},
      answer: {},
      clear: {},
    },
    effects: {
      acknowledged: { request },
      landed: { request, message },
      write: { request },
      read: { request },
    },
  } as const;
  const { context: c, event, when, update, effect } = language(contract);
  const q = [c.q0, c.q1, c.q2];
  const k = [c.k0, c.k1, c.k2];
  const f = [c.f0, c.f1, c.f2];
  const put = (slot: Expression, at: number, value: Expression) => choose(equal(c.posted, at), value, slot);
  const shift = {
    q0: c.q1,
    q1: c.q2,
    q2: 0,
    k0: c.k1,
    k1: c.k2,
    k2: 0,
    f0: c.f1,
    f1: c.f2,
    f2: 0,
    posted: subtract(c.posted, 1),
  };
  /** The first may go on: nothing that it has to wait for is unanswered. */
  const mayGo = all(less(0, c.posted), not(all(c.f0, c.reading)));
  const nothing = Object.fromEntries(Object.keys(contract.context).map((name) => [name, 0]));
  return machineOver(contract, {
    id: 'channel',
    initial: 'open',
    states: {
      open: {
        on: {
          post: {
            actions: update({
              ...Object.fromEntries(
                places.flatMap((at) => [
                  [`q${at}`, put(q[at]!, at, event('request'))],
                  [`k${at}`, put(k[at]!, at, event('kind'))],
                  [`f${at}`, put(f[at]!, at, event('fence'))],
                ]),
              ),
              posted: add(c.posted, 1),
            }),
          },
          receive: { actions: update(receives.put(event('request'))) },
          deliver: [
            {
              guard: when(all(mayGo, equal(c.k0, Kind.send), less(0, receives.length))),
              actions: [
                effect('landed', { request: receives.first, message: add(c.taken, 1) }),
                effect('acknowledged', { request: c.q0 }),
                update({ ...shift, ...receives.take, taken: add(c.taken, 1) }),
              ],
            },
            {
              guard: when(all(mayGo, equal(c.k0, Kind.write))),
              actions: [effect('write', { request: c.q0 }), update(shift)],
            },
            {
              guard: when(all(mayGo, equal(c.k0, Kind.read), not(c.reading))),
              actions: update({ ...shift, reading: 1, reader: c.q0 }),
            },
          ],
          // The data of a read is taken where it lies only now.
          answer: {
            guard: when(c.reading),
            actions: [effect('read', { request: c.reader }), update({ reading: 0, reader: 0 })],
          },
          clear: { target: 'closed', actions: update(nothing) },
        },
      },
      closed: { on: { post: { target: 'closed' }, clear: { target: 'closed' } } },
    },
  });
}

/** A socket's registration: what the switch knows of it, what the adapter does with it, what the peer reaches through it. */
function memory(): MachineDefinition {
  const call = { request, polled: flag, pieces: range(1, PIECES_MAX) } as const;
  const start = { ...call, refusal: oneOf(0, WSA.WSAEFAULT) } as const;
  const contract = {
    context: {
      /** Registrations that worked, without their deregistration. */
      held: field(range(0, 2)),
      /** The adapter has it. */
      live: field(flag),
      /** A call is running: registration (1), deregistration (2). */
      inside: field(range(0, 2)),
      /** The peer has written, and has read. */
      written: field(flag),
      taken: field(flag),
      /** It was reached when it no longer could be. */
      late: field(flag),
      /** The switch has no more use for it. */
      spare: field(flag),
    },
    events: {
      register: {},
      deregister: {},
      release: {},
      deregisterUnknown: {},
      obstruct: {},
      map: {},
      unmap: {},
      forget: {},
      answered: { error: errorNumber },
      returned: {},
      write: { request },
      read: { request },
      spare: {},
      close: {},
      send: call,
      receive: call,
      callWrite: call,
      callRead: call,
    },
    effects: {
      pin: { request },
      send: start,
      receive: start,
      callWrite: start,
      callRead: start,
      register: {},
      deregister: { known: flag },
      returned: {},
      mapped: {},
      mapFailed: {},
      reached: { request },
      denied: { request },
    },
  } as const;
  const { context: c, event, when, update, effect } = language(contract);
  const what = { request: event('request') };
  const stale = any(c.late, all(equal(c.held, 0), equal(c.inside, 0)));
  const reach = (name: 'written' | 'taken') => [
    { guard: when(not(c.live)), actions: effect('denied', what) },
    { actions: [update({ [name]: 1, late: stale }), effect('reached', what)] },
  ];
  const forget = [{ guard: when(equal(c.inside, 0)), actions: update({ held: 0 }) }, { actions: update({}) }];
  // A request's buffers are looked up before its call reaches the socket.
  const begin = (name: 'send' | 'receive' | 'callWrite' | 'callRead') => {
    const args = { request: event('request'), polled: event('polled'), pieces: event('pieces') };
    return [
      { guard: when(less(0, c.held)), actions: [effect('pin', what), effect(name, { ...args, refusal: 0 })] },
      { actions: effect(name, { ...args, refusal: WSA.WSAEFAULT }) },
    ];
  };
  const adapter = {
    send: begin('send'),
    receive: begin('receive'),
    callWrite: begin('callWrite'),
    callRead: begin('callRead'),
    unmap: { actions: update({ live: 0 }) },
    write: reach('written'),
    read: reach('taken'),
    forget,
    spare: { actions: update({ spare: 1 }) },
    answered: [
      {
        guard: when(all(equal(c.inside, 1), equal(event('error'), 0))),
        actions: update({ held: add(c.held, 1) }),
      },
      {
        guard: when(all(equal(c.inside, 2), equal(event('error'), 0))),
        actions: update({ held: subtract(c.held, 1) }),
      },
      { actions: update({}) },
    ],
    returned: { actions: update({ inside: 0 }) },
  };
  const deregister = [update({ inside: 2 }), effect('deregister', { known: 1 }), effect('returned', {})];
  const register = {
    guard: when(all(equal(c.inside, 0), less(c.held, 2), not(c.spare))),
    actions: [update({ inside: 1 }), effect('register', {}), effect('returned', {})],
  };
  return machineOver(contract, {
    id: 'memory',
    initial: 'open',
    states: {
      open: {
        on: {
          ...adapter,
          register,
          deregister: { guard: when(less(0, c.held)), actions: deregister },
          // The same, by a switch that waits until it has no more use for it.
          release: { guard: when(all(less(0, c.held), c.spare)), actions: deregister },
          deregisterUnknown: {
            guard: when(equal(c.held, 0)),
            actions: [update({ inside: 2 }), effect('deregister', { known: 0 }), effect('returned', {})],
          },
          map: { actions: [update({ live: 1 }), effect('mapped', {})] },
          // The adapter will refuse the next registration.
          obstruct: 'obstructed',
          close: 'closed',
        },
      },
      obstructed: {
        on: { ...adapter, register, map: { target: 'open', actions: effect('mapFailed', {}) }, close: 'closed' },
      },
      // The descriptor is none any more.
      closed: { on: adapter },
    },
  });
}

export interface TransferOptions extends PairOptions {
  /** Work requests of each request; 1 where absent. */
  readonly pieces?: readonly (1 | 2)[];
  /** Registrations come and go; without it each socket has one from the start to its end. */
  readonly registering?: boolean;
  /** The request that each socket's switch waits for before it deregisters (E-07); absent: it does so at any time. */
  readonly until?: readonly [number, number];
  /** Requests that are called inside the completion up-call of another: `[of, called]`. */
  readonly chain?: readonly (readonly [of: number, called: number])[];
  /** The adapter can refuse what is posted, and a registration. */
  readonly refusing?: boolean;
  /** Requests can fail by themselves, with their connection. */
  readonly spoiling?: readonly number[];
}

const sockets = [0, 1] as const;
const side = ['A', 'B'] as const;

/** The world of `options`. */
export function transfer(options: TransferOptions): WorldDefinition {
  const { requests, pieces, registering = false, until, refusing = false, spoiling = [], called, chain = [] } = options;
  const { polled = [0, 1] } = options;
  const { called: _, ...rest } = options;
  const careless = registering && until === undefined;
  const fails = careless || refusing || spoiling.length > 0 || options.failing === true || options.closing === true;
  const pair = connectedPair({
    ...rest,
    failing: fails,
    limits: { piecesMax: PIECES_MAX, referencesMax: 2, ...options.limits },
  });
  const socketOf = requests.map(({ socket }) => socket);
  const toSocket = { of: 'self', map: socketOf } as const;
  const ofRequest = { of: 'request', map: socketOf } as const;
  const label = (number: number): string => {
    const { socket, kind: of, place } = requests[number]!;
    return `${side[socket]} ${of} ${place + 1}`;
  };
  const piecesOf = (number: number): number => pieces?.[number] ?? 1;
  const isRdma = requests.some(({ kind: of }) => of === 'read' || of === 'write');

  const rules: Rule[] = pair.rules
    .filter(({ send }) => !send.startsWith('caller/') && !(send === 'link/fail' && options.failing !== true))
    .map((rule) => (rule.send === 'channel/deliver' ? { ...rule, name: `the next reaches ${side[rule.row]}` } : rule));
  for (const [number, { socket, kind: of, place }] of called === undefined ? requests.entries() : []) {
    if (chain.some(([, after]) => after === number)) continue;
    for (const poll of polled) {
      rules.push({
        name: `${label(number)}: called, ${poll === 1 ? 'polled' : 'notified'}`,
        send: `caller/${of}`,
        row: socket,
        with: [place, number, poll, piecesOf(number)],
        class: 'switch',
        fair: `call ${number}`,
      });
    }
  }
  for (const socket of sockets) {
    const who = side[socket];
    if (options.closing) {
      rules.push({ name: `${who}: closed`, send: 'caller/close', row: socket, class: 'switch', fair: `close ${who}` });
    }
    if (requests.some((of) => of.kind !== 'receive' && of.socket !== socket)) {
      const fair = `deliver to ${who}`;
      if (!rules.some((rule) => rule.fair === fair)) {
        rules.push({
          name: `the next reaches ${who}`,
          send: 'channel/deliver',
          row: socket,
          class: 'adapter',
          fair,
        });
      }
    }
    if (requests.some((of) => of.kind === 'read' && of.socket !== socket)) {
      rules.push({
        name: `${who} is read`,
        send: 'channel/answer',
        row: socket,
        class: 'adapter',
        fair: `read ${who}`,
      });
    }
    if (registering) {
      rules.push({
        name: `${who}: deregisters`,
        send: until === undefined ? 'memory/deregister' : 'memory/release',
        row: socket,
        class: 'switch',
        fair: `release ${who}`,
      });
      if (until === undefined) {
        rules.push(
          { name: `${who}: registers`, send: 'memory/register', row: socket, class: 'switch' },
          {
            name: `${who}: deregisters what is not registered`,
            send: 'memory/deregisterUnknown',
            row: socket,
            class: 'switch',
          },
        );
      }
    }
    if (refusing) {
      rules.push({ name: `${who}: no room for the next`, send: 'link/fill', row: socket, class: 'fault' });
      if (registering) {
        rules.push({
          name: `${who}: the next can't be registered`,
          send: 'memory/obstruct',
          row: socket,
          class: 'fault',
        });
      }
    }
  }
  for (const number of requests.keys()) {
    if (piecesOf(number) > 1) {
      rules.push({
        name: `${label(number)}: a piece completes`,
        send: 'work/piece',
        row: number,
        class: 'adapter',
        fair: `complete ${number}`,
      });
    }
    if (spoiling.includes(number)) {
      rules.push({
        name: `${label(number)}: can't be carried out`,
        send: 'work/denied',
        row: number,
        with: [WSA.WSAEFAULT],
        class: 'fault',
      });
    }
    if (spoiling.includes(number) || (isRdma && careless && requests[number]!.kind !== 'receive')) {
      rules.push({
        name: `${label(number)}: fails`,
        send: 'work/fail',
        row: number,
        class: 'adapter',
        fair: `complete ${number}`,
      });
    }
  }

  const told = (until ?? []).map(
    (waited, socket): Performance => ({
      send: 'memory/spare',
      to: { of: 'self', map: requests.map((_r, number) => (number === waited ? socket : -1)) },
    }),
  );
  const kinds = requests.map(({ kind: of }) => (of === 'receive' ? 0 : Kind[of]));
  return {
    ...pair,
    environment: {
      ...pair.environment,
      caller: caller(),
      overlapped: overlapped(true),
      work: work(),
      channel: wire(),
      link: link({ refusing: true }),
      memory: memory(),
    },
    rows: { ...pair.rows, memory: 2 },
    performs: {
      ...Object.fromEntries(Object.entries(pair.performs).filter(([name]) => name !== 'caller/pin')),
      'registeredBuffer/registerRegion': [{ send: 'memory/map', to: 'self' }],
      'registeredBuffer/deregisterRegion': [{ send: 'memory/unmap', to: 'self' }],
      'registeredBuffer/forget': [{ send: 'memory/forget', to: 'self' }],
      'registeredBuffer/answer': [{ send: 'memory/answered', to: 'self', with: ['error'] }],
      'overlappedRequest/postWork': [{ send: 'work/post', to: 'self', with: ['fence', 'pieces'] }],
      'overlappedRequest/unmarkPending': [{ send: 'overlapped/unmarked', to: 'self' }],

      ...Object.fromEntries(
        calls.flatMap((name) => {
          const inner = name === 'write' ? 'callWrite' : name === 'read' ? 'callRead' : name;
          const call = { send: 'spi.send', receive: 'spi.recv', write: 'spi.rdmaWrite', read: 'spi.rdmaRead' }[name];
          return [
            [
              `caller/${name}`,
              [{ send: `memory/${inner}`, to: 'self', with: ['request', 'polled', 'pieces'] } as const],
            ],
            [
              `memory/${inner}`,
              [{ send: `socket/${call}`, to: 'self', with: ['request', 'polled', 0, 'pieces', 'refusal'] } as const],
            ],
          ];
        }),
      ),
      'memory/pin': [{ send: 'registeredBuffer/request.pinned', to: 'self', with: ['request'] }],
      'caller/close': [
        { send: 'memory/close', to: 'self' },
        { send: 'socket/spi.closeSocket', to: 'self' },
      ],
      'overlapped/refusedPost': [{ send: 'overlappedRequest/adapter.postRefused', to: 'self' }],
      'overlapped/failedPost': [
        { send: 'overlappedRequest/adapter.failed', to: 'self', with: [WSA.WSAECONNABORTED] },
        { send: 'work/destroyed', to: 'self' },
        { send: 'socket/adapter.fault', to: toSocket },
      ],
      'overlapped/told': [
        ...told,
        ...chain.map(([of, after]): Performance => {
          const { socket, kind: type, place } = requests[after]!;
          return {
            send: `caller/${type}`,
            to: { of: 'self', map: requests.map((_r, number) => (number === of ? socket : -1)) },
            with: [place, after, polled[0]!, piecesOf(after)],
          };
        }),
      ],
      'work/handOver': [{ send: 'link/post', to: toSocket, with: ['self', 'fence'] }],
      'work/failed': [
        { send: 'overlappedRequest/adapter.failed', to: 'self', with: ['error'] },
        { send: 'link/fail', to: toSocket },
        { send: 'socket/adapter.fault', to: toSocket },
      ],
      'link/send': [
        {
          send: 'channel/post',
          to: { of: 'request', map: requests.map((of) => (of.kind === 'receive' ? -1 : 1 - of.socket)) },
          with: ['request', { of: 'request', map: kinds }, 'fence'],
        },
        {
          send: 'channel/receive',
          to: { of: 'request', map: requests.map((of) => (of.kind === 'receive' ? of.socket : -1)) },
          with: ['request'],
        },
      ],
      'link/noRoom': [
        { send: 'work/destroyed', to: 'request' },
        { send: 'overlapped/noRoom', to: 'request' },
      ],
      'channel/write': [{ send: 'memory/write', to: 'self', with: ['request'] }],
      'channel/read': [{ send: 'memory/read', to: 'self', with: ['request'] }],
      'memory/register': [{ send: 'socket/spi.registerMemory', to: 'self', with: ['self'] }],
      'memory/deregister': [{ send: 'socket/spi.deregisterMemory', to: 'self', with: ['self', 'known'] }],
      'memory/returned': [{ send: 'memory/returned', to: 'self' }],
      'memory/mapped': [{ send: 'registeredBuffer/adapter.registered', to: 'self' }],
      'memory/mapFailed': [{ send: 'registeredBuffer/adapter.registerFailed', to: 'self', with: [WSA.WSAENOBUFS] }],
      'memory/reached': [{ send: 'work/landed', to: 'request', with: [0] }],
      'memory/denied': [
        { send: 'work/denied', to: 'request', with: [WSA.WSAEFAULT] },
        { send: 'link/fail', to: ofRequest },
      ],
    },
    drops: [
      ...pair.drops.filter((name) => name !== 'answer' && !name.startsWith('registeredBuffer/')),
      ...['provider', 'socket', 'requestQueue', 'overlappedRequest', 'networkEvents', 'connectionRequest'].map(
        (name) => `${name}/answer`,
      ),
    ],
    never: (pair.never ?? []).filter((name) => name !== 'overlappedRequest/unmarkPending'),
    rules,
    start: [
      ...(pair.start ?? []).filter(({ send }) => send !== 'socket/spi.registerMemory' && !send.startsWith('caller/')),
      ...sockets.map((row) => ({ send: 'memory/register' as const, row })),
      ...(called ?? []).map((poll, number) => ({
        send: `caller/${requests[number]!.kind}` as const,
        row: requests[number]!.socket,
        with: [requests[number]!.place, number, poll, piecesOf(number)],
      })),
    ],
  };
}
