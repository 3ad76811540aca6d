/**
 * World: two hosts that a random run acts on, and the checks that go with every action.
 *
 * Every call is made through one method, which knows from the model what the call may return, makes it, and tells the
 * model what came of it. Up-calls can make further actions happen before they return, so a method must not keep
 * anything of the model across a call. After each action the visible states are looked at, and every change must have a
 * cause.
 */

import { strict as assert } from 'node:assert';
import {
  type Adapter,
  memorySink,
  out,
  ProcessDuplicationStore,
  readJournal,
  replayJournal,
  type Socket,
  WsaOverlapped,
  type WspUpcallTable,
  tcpProtocolInfo,
  type ProviderOptions,
} from '../../driver/index.ts';
import {
  brokenInvariants,
  digestOfSystem,
  FD_ACCEPT,
  FD_CONNECT,
  INVALID_SOCKET,
  type Limits,
  M,
  MEM_READ,
  MEM_READWRITE,
  MEM_WRITE,
  SO_DEBUG,
  SOL_SOCKET,
  WSA,
  WSS_OPERATION_IN_PROGRESS,
  wsaName,
} from '../../machines/index.ts';
import { Host, type HostOptions } from '../support/two-hosts.ts';
import type { Action, HostIndex, Run, Setup, UpcallName } from './action.ts';
import { type Footing, type Ground, type Inventory, SimulatedGround } from './ground.ts';
import {
  ARENA_BYTES,
  type Attempt,
  type Call,
  CHUNK_BYTES,
  Connection,
  type Message,
  type ModelRequest,
  ModelSocket,
  type Operation,
  type Reason,
  type Registration,
  resultOf,
  type Visible,
  visibleStates,
} from './model.ts';

/** Small enough that every bound is met. */
export const randomLimits: Limits = {
  startupsMax: 2,
  socketsMax: 6,
  backlogMax: 2,
  queueDepth: 2,
  overflowMax: 2,
  piecesMax: 8,
  referencesMax: 2,
};
const pendingMax = randomLimits.queueDepth + randomLimits.overflowMax;
/** Requests of one direction that a shallow adapter has room for. */
const SHALLOW_PLACES = 1;
const MESSAGE_MAX = 400;
/** Larger messages are rare, and so are smaller receives. */
const MESSAGE_USUAL = 64;
const PART_BYTES = 16;
const CONNECT_MS = 10_000;
const MIGRATION_MS = 30_000;

/** Something to be done to a provider's adapter or calls before the run: how mutants are made. */
export interface WorldOptions {
  readonly adapter?: (adapter: Adapter) => Adapter;
  /** What the hosts stand on; simulated unless given. */
  readonly ground?: (setup: Setup) => Ground;
  readonly party?: (party: Party) => void;
  /** Of the providers, instead of production's; their journals are not played again then. */
  readonly tables?: ProviderOptions['tables'];
}

interface Token {
  readonly value: number;
  readonly ours: boolean;
  readonly socket: ModelSocket;
  used: boolean;
}

const other = (index: 0 | 1): 0 | 1 => (index === 0 ? 1 : 0);
const isReason = (error: string): error is Reason =>
  error === 'WSAECONNRESET' || error === 'WSAECONNABORTED' || error === 'WSAENETDOWN';

/** A host whose switch checks what it is told. */
export class Party extends Host<Adapter> {
  readonly index: HostIndex;
  readonly footing: Footing;
  readonly world: World;
  readonly sink: ReturnType<typeof memorySink>;
  /** Every socket so far. */
  readonly sockets: ModelSocket[] = [];
  readonly tokens: Token[] = [];
  /** Start-ups that a clean-up has still to take back. */
  startups = 0;
  removed = false;
  /** Counts final clean-ups. */
  generation = 0;
  /** SPI calls that are running, the innermost last. */
  readonly frames: string[] = [];
  /** Up-calls that are running, with the handle that they are for. */
  readonly upcallFrames: { readonly name: UpcallName; readonly handle: bigint }[] = [];
  readonly armed: { readonly upcall: UpcallName; readonly actions: readonly Action[] }[] = [];
  /** Handles that were given out, and the provider's descriptor that came with each. */
  readonly created = new Map<bigint, Socket>();
  /** Event object of the selection that is being made. */
  selecting = 0n;
  /** Actions that up-calls have made happen. */
  nested = 0;
  inventoryBeforeClose: ReturnType<Footing['inventory']> | null = null;

  constructor(world: World, index: HostIndex, footing: Footing, adapter: Adapter, options: HostOptions) {
    const sink = memorySink();
    super(index === 0 ? 'client' : 'server', footing.address, adapter, footing.clock, {
      ...options,
      journal: { mode: 'file', sink },
    });
    this.index = index;
    this.footing = footing;
    this.world = world;
    this.sink = sink;
    const close = adapter.close.bind(adapter);
    adapter.close = () => {
      this.inventoryBeforeClose = footing.inventory();
      close();
    };
  }

  /** Makes an SPI call, and notes that it is running. */
  call<T>(name: string, make: () => T): T {
    this.frames.push(name);
    try {
      return make();
    } finally {
      this.frames.pop();
    }
  }

  /** What the provider's own state says; only looked at. */
  get stateName(): string {
    return this.provider.system.rows[M.provider]!.stateName(0);
  }
  /** What a call gets that needs a working provider; null when it works. */
  get refusal(): string | null {
    if (this.startups === 0) return 'WSANOTINITIALISED';
    return this.stateName === 'failed' ? 'WSAENETDOWN' : null;
  }
  /** Sockets that have a context, at least and at most. */
  contexts(): { least: number; most: number } {
    const creating = this.frames.filter((name) => name === 'socket' || name === 'accept' || name === 'takeOver').length;
    const freeing = this.upcallFrames.filter(({ name }) => name === 'closeHandle').length;
    const handles = this.created.size;
    return { least: handles, most: handles + creating + freeing };
  }

  socketOf(handle: bigint): ModelSocket | undefined {
    return this.sockets.findLast((socket) => socket.handle === handle);
  }

  override upcallTable(): WspUpcallTable {
    const table = super.upcallTable();
    const { world } = this;
    const running = <T>(name: UpcallName, handle: bigint, make: () => T): T => {
      this.upcallFrames.push({ name, handle });
      try {
        const result = make();
        this.#fire(name);
        return result;
      } finally {
        this.upcallFrames.pop();
      }
    };
    return {
      WPUCreateSocketHandle: (catalog, context, lpErrno) => {
        const creating = this.frames.at(-1);
        assert.ok(creating === 'socket' || creating === 'accept' || creating === 'takeOver', `create in ${creating}`);
        return running('create', 0n, () => {
          const handle = table.WPUCreateSocketHandle(catalog, context, lpErrno);
          if (handle !== INVALID_SOCKET) this.created.set(handle, context);
          return handle;
        });
      },
      WPUCloseSocketHandle: (handle) => {
        assert.ok(this.created.has(handle), 'WPUCloseSocketHandle of a handle that is not open');
        assert.ok(
          !this.upcallFrames.some((frame) => frame.handle === handle),
          'WPUCloseSocketHandle while an up-call for the handle is running (S-08)',
        );
        world.observe();
        const socket = this.socketOf(handle);
        if (socket === undefined) {
          assert.ok(
            this.frames.some((name) => name === 'socket' || name === 'accept' || name === 'takeOver'),
            'WPUCloseSocketHandle of a socket that nobody was told of',
          );
        } else {
          assert.ok(socket.closed, 'WPUCloseSocketHandle of a socket that is not closed (S-08)');
          assert.deepEqual(
            socket.pending.map(({ operation }) => operation),
            [],
            'requests are pending when the handle is closed (S-09)',
          );
          socket.freed = true;
        }
        this.created.delete(handle);
        return running('closeHandle', handle, () => table.WPUCloseSocketHandle(handle, out(0)));
      },
      WPUCompleteOverlappedRequest: (handle, overlapped, error, bytes, lpErrno) => {
        world.observe();
        const innermost = this.frames.at(-1);
        assert.ok(
          innermost === 'poll' || innermost === 'outcome' || innermost === 'cleanup',
          `a completion up-call inside ${innermost} (11.4)`,
        );
        const socket = this.socketOf(handle);
        assert.ok(
          socket !== undefined && this.created.has(handle),
          'a completion for a handle that is not open (S-08)',
        );
        assert.ok(
          !this.upcallFrames.some((frame) => frame.name === 'complete' && frame.handle === handle),
          'a completion up-call inside another of its socket (11.4)',
        );
        const request = socket.pending.find((candidate) => candidate.overlapped === overlapped);
        assert.ok(request !== undefined, 'a completion up-call for a request that is not pending (S-03, S-04, S-06)');
        assert.ok(request.notify, 'a completion up-call for a polled request (S-05)');
        const { words } = overlapped;
        assert.equal(words[0], WSS_OPERATION_IN_PROGRESS, 'Internal was changed before the up-call (S-07)');
        assert.deepEqual([words[4], words[5]], [0, error], 'flags and error of a completion (11.1)');
        request.notifying = true;
        world.done(request, wsaName(error), bytes);
        try {
          return running('complete', handle, () =>
            table.WPUCompleteOverlappedRequest(handle, overlapped, error, bytes, lpErrno),
          );
        } finally {
          request.notifying = false;
        }
      },
      WPUSetEvent: (event) => {
        world.checkEvent(this, event);
        return running('set', 0n, () => table.WPUSetEvent(event, out(0)));
      },
      WPUResetEvent: (event) => {
        world.checkEvent(this, event);
        return running('reset', 0n, () => table.WPUResetEvent(event, out(0)));
      },
    };
  }

  /** Inside an up-call: lets happen what was armed for it. */
  #fire(name: UpcallName): void {
    const at = this.armed.findIndex(({ upcall }) => upcall === name);
    if (at < 0 || this.upcallFrames.length > 3) return;
    const [{ actions }] = this.armed.splice(at, 1) as [Party['armed'][number]];
    this.nested++;
    this.world.observe();
    for (const action of actions) this.world.act(action);
  }
  fireCondition(): void {
    this.upcallFrames.push({ name: 'condition', handle: 0n });
    try {
      this.#fire('condition');
    } finally {
      this.upcallFrames.pop();
    }
  }
}

/**
 * Something that takes the network's time: at each yield the network goes on. The answer is whether it is idle.
 */
type Waiting = Generator<undefined, void, boolean>;

export class World {
  readonly setup: Setup;
  readonly network: Ground;
  readonly parties: readonly [Party, Party];
  readonly attempts: Attempt[] = [];
  readonly connections = new Set<Connection>();
  /** Nothing goes wrong but by what the switches do. */
  readonly strict: boolean;
  /** How often what happened: action, then result. */
  readonly counts = new Map<string, number>();
  #nextPort = 4000;
  #nextEvent = 0x100n;
  #nextContent = 0;
  /** Done structures that may be used again. */
  readonly #structures: WsaOverlapped[] = [];
  /** Requests whose structures must be final once the call at hand is over. */
  #finished: ModelRequest[] = [];
  /** Chunks that no request uses any more, and what was in them then. */
  readonly #released = new Map<string, { readonly chunk: Uint8Array; readonly content: Uint8Array }>();
  /** Registrations for the peer that were taken back. */
  readonly #dead: Registration[] = [];
  #depth = 0;

  readonly #tables: WorldOptions['tables'];

  constructor(setup: Setup, options: WorldOptions = {}) {
    this.setup = setup;
    this.#tables = options.tables;
    this.strict = setup.faults.every((plan) => Object.keys(plan).length === 0);
    this.network = options.ground?.(setup) ?? new SimulatedGround(setup);
    const party = (index: HostIndex): Party => {
      const footing = this.network.footing(index, {
        elementsMax: setup.elementsMax,
        ...(setup.isShallow === true
          ? {
              sendDepthMax: (SHALLOW_PLACES * randomLimits.piecesMax) / setup.elementsMax + 1,
              receiveDepthMax: SHALLOW_PLACES + 1,
            }
          : {}),
        messageSizeMax: MESSAGE_MAX,
        rdmaSizeMax: 1024,
        readDepthMax: 2,
      });
      const adapter = options.adapter?.(footing.adapter) ?? footing.adapter;
      const made = new Party(this, index, footing, adapter, {
        limits: randomLimits,
        seed: setup.seed + index,
        duplication: new ProcessDuplicationStore(),
        config: { pureSan: setup.pureSan, processId: index + 1 },
        ...(options.tables === undefined ? {} : { tables: options.tables }),
      });
      options.party?.(made);
      return made;
    };
    this.parties = [party(0), party(1)];
  }

  /** Lets `waiting` happen; the network goes on within this call. @throws AssertionError when something is not as it should be */
  now(waiting: Waiting): void {
    for (let step = waiting.next(); step.done !== true; ) step = waiting.next(this.network.run(1));
  }

  /** As {@link World.now}, where the network takes its own time. */
  async live(waiting: Waiting): Promise<void> {
    for (let step = waiting.next(); step.done !== true; ) {
      step = waiting.next(await this.network.turn(() => this.#isAtRest()));
    }
  }

  /** What a run begins with. */
  *begin(): Waiting {
    const { pairs, stage } = this.setup;
    for (const { index } of this.parties) yield* this.perform({ type: 'startup', host: index, version: 0x0202 });
    for (let pair = 0; pair < pairs; pair++) {
      yield* this.perform({ type: 'pair', host: (pair % 2) as HostIndex, stage });
    }
  }

  /** One action and all that goes with it. */
  *perform(action: Action): Waiting {
    yield* this.#acting(action);
    this.#check();
  }

  /** Inside an up-call: nobody waits. */
  act(action: Action): void {
    this.now(this.#acting(action));
  }

  *#acting(action: Action): Waiting {
    if (this.#depth > 4) return;
    this.#depth++;
    try {
      yield* this.#act(action);
    } finally {
      this.#depth--;
    }
    this.observe();
  }

  *#act(action: Action): Waiting {
    if (action.type === 'network') {
      for (let left = action.instants; left > 0; left--) if (yield) break;
      return;
    }
    if (action.type === 'pass') return this.#pass(action.ms);
    if (action.type === 'settle') return yield* this.#settle();
    const party = this.parties[action.host];
    switch (action.type) {
      case 'startup':
        return this.#startup(party, action.version);
      case 'cleanup':
        return this.#cleanup(party);
      case 'socket':
        return void this.#socket(party);
      case 'poll':
        return this.#poll(party);
      case 'pair':
        return yield* this.#pair(party, action.stage);
      case 'arm':
        return void party.armed.push({ upcall: action.upcall, actions: action.actions });
      case 'refuseHandle':
        party.refuseHandle = action.error;
        return;
      case 'failCompletions':
        party.completionFails = action.on;
        return;
      case 'remove':
        return this.#remove(party, action.told);
      case 'takeOver':
        return this.#takeOver(party, action.t);
      default: {
        const [party, socket] = this.#pick(action.host, action.s, preferred[action.type] ?? []);
        if (socket === null) return;
        switch (action.type) {
          case 'bind':
            return this.#bind(party, socket, action.port);
          case 'listen':
            return this.#listen(party, socket, action.backlog);
          case 'connect':
            return this.#connect(party, socket, action.target);
          case 'select':
            return this.#select(party, socket, action.mask);
          case 'events':
            return this.#events(party, socket, action.reset);
          case 'accept':
            return this.#accept(party, socket, action.verdict);
          case 'removeListener':
            return this.#removeListener(party, socket);
          case 'close':
            return this.#close(party, socket);
          case 'duplicate':
            return this.#duplicate(party, socket, action.ours);
          case 'register':
            return this.#register(party, socket, action.part, action.access);
          case 'registerRdma':
            return this.#registerRdma(party, socket, action.access);
          case 'deregister':
            return this.#deregister(party, socket, action.r);
          case 'transfer':
            return this.#transfer(party, socket, action);
          case 'outcome':
            return this.#outcome(party, socket, action.r);
          case 'option':
            return this.#option(party, socket, action.set);
        }
      }
    }
  }

  /**
   * A socket: mostly one in a state that the action is for, of the other host if this one has none; sometimes any,
   * closed ones included.
   */
  #pick(host: HostIndex, s: number, states: readonly Visible[]): [Party, ModelSocket | null] {
    const at = Math.floor(s / 8);
    const mine = this.parties[host];
    if (s % 8 === 7) return [mine, mine.sockets[at % mine.sockets.length] ?? null];
    for (const party of [mine, this.parties[other(host)]]) {
      const wanted = party.sockets.filter(({ closed, state }) => !closed && states.includes(state));
      if (wanted.length > 0) return [party, wanted[at % wanted.length]!];
    }
    const live = mine.sockets.filter(({ closed }) => !closed);
    return [mine, live[at % live.length] ?? null];
  }

  #count(what: string, result: string): void {
    const key = `${what} ${result}`;
    this.counts.set(key, (this.counts.get(key) ?? 0) + 1);
  }

  /** The result of a call must be one of those. */
  #expect(what: string, result: string, allowed: readonly (string | null | false)[]): void {
    this.#count(what, result);
    const named = allowed.filter((name) => name !== null && name !== false);
    assert.ok(named.includes(result), `${what} gave ${result}; expected ${named.join(' or ')}`);
  }

  /** What a call gives by provider and state; the state's own answer last. */
  #answer(party: Party, socket: ModelSocket, call: Call): string {
    this.observe();
    if (party.startups === 0) return 'WSANOTINITIALISED';
    if (socket.closed) return 'WSAENOTSOCK';
    return party.refusal ?? resultOf(call, socket.state);
  }

  // ---------------------------------------------------------------- provider

  #startup(party: Party, version: number): void {
    const { stateName } = party;
    const result = wsaName(party.call('startup', () => party.startup(version)));
    const expected =
      version < 0x0202
        ? 'WSAVERNOTSUPPORTED'
        : stateName === 'uninitialised'
          ? party.removed
            ? 'WSASYSNOTREADY'
            : '0'
          : stateName === 'ready'
            ? party.startups < randomLimits.startupsMax
              ? '0'
              : 'WSAEPROCLIM'
            : 'WSASYSNOTREADY';
    this.#expect('startup', result, [expected]);
    if (result === '0') party.startups++;
  }

  #cleanup(party: Party): void {
    this.observe();
    const { startups, stateName } = party;
    const expected = startups === 0 ? 'WSANOTINITIALISED' : stateName === 'failed' ? 'WSAENETDOWN' : '0';
    const isLast = startups === 1;
    if (startups > 0) party.startups--;
    if (isLast) {
      party.generation++;
      for (const connection of this.connections) {
        // A WSPAccept is running that has not returned its socket yet.
        if (connection.ends[1] === null && connection.acceptor === party.index) connection.endanger();
      }
      for (const socket of party.sockets) {
        // What is being handed over may not be told to the peer any more.
        if (socket.state === 'dormant' && !socket.freed) socket.connection?.spoil();
        if (!socket.closed) this.#isClosing(socket);
      }
    }
    const { error } = party.call('cleanup', () => party.cleanup());
    this.#expect('cleanup', error, [expected]);
  }

  #poll(party: Party): void {
    party.call('poll', () => party.provider.poll());
    this.observe();
    if (party.frames.length > 0) return;
    for (const { pending } of party.sockets) {
      for (const receiving of [true, false]) {
        const first = pending.find(({ operation }) => (operation === 'recv') === receiving);
        assert.ok(!this.#overtaken.has(first!), 'a request is still pending, and a later one is done (11.4)');
      }
    }
  }

  #remove(party: Party, told: boolean): void {
    if (party.removed) return;
    party.removed = true;
    for (const attempt of this.attempts) {
      if (attempt.ended) continue;
      if (attempt.socket.host === party.index) attempt.codes.add('WSAENETDOWN');
      attempt.codes.add('WSAETIMEDOUT');
    }
    for (const connection of this.connections) {
      for (const end of [0, 1] as const) {
        if (connection.ends[end]?.host === party.index) connection.allow(end, 'WSAENETDOWN');
        else connection.allow(end, 'WSAECONNRESET', 'WSAECONNABORTED');
        // What its peer asked of the adapter that went ends unanswered.
        connection.failures.add('WSAECONNABORTED').add('WSAEFAULT');
      }
      connection.tainted ||= connection.moved;
      connection.spoil();
    }
    party.footing.remove(told);
  }

  #removeListener(party: Party, { port, listens }: ModelSocket): void {
    if (!listens) return;
    for (const socket of party.sockets.filter((each) => each.listens && each.port === port)) {
      this.#refusable(socket);
      socket.lost = true;
    }
    party.footing.removeListeners(port);
  }

  /** The provider knows that what `socket` listens on is gone; only looked at. */
  #isLost(party: Party, { descriptor, lost, closed }: ModelSocket): boolean {
    const isLost = !closed && party.provider.socketState(descriptor) === 'listening.lost';
    assert.ok(!isLost || lost || party.removed, 'a listener is lost, and its device is there (10.3)');
    return isLost;
  }

  // ---------------------------------------------------------------- sockets

  #newSocket(party: Party, descriptor: Socket, state: Visible): ModelSocket {
    const handle = [...party.created].findLast(([, context]) => context === descriptor)?.[0];
    assert.ok(handle !== undefined, 'a socket without switch handle (S-10)');
    assert.ok(
      !party.sockets.some((socket) => !socket.closed && socket.descriptor === descriptor),
      'a descriptor twice',
    );
    const socket = new ModelSocket(party.index, descriptor, handle, state);
    party.sockets.push(socket);
    return socket;
  }

  #full(party: Party): { must: boolean; may: boolean } {
    const { least, most } = party.contexts();
    return { must: least >= randomLimits.socketsMax, may: most >= randomLimits.socketsMax };
  }

  /** The error that the next WPUCreateSocketHandle gives. */
  #handleRefusal(party: Party): string | null {
    if (party.refuseHandle === 0) return null;
    return party.refuseHandle === WSA.WSAEMFILE ? 'WSAEMFILE' : 'WSAENOBUFS';
  }

  #socket(party: Party): ModelSocket | null {
    this.observe();
    const { refusal, generation, nested } = party;
    const full = this.#full(party);
    const refused = this.#handleRefusal(party);
    const { value, error } = party.call('socket', () => party.socket());
    this.#expect('socket', error, [
      refusal ?? (full.must ? 'WSAEMFILE' : (refused ?? '0')),
      refusal === null && full.may && 'WSAEMFILE',
      party.generation !== generation && 'WSANOTINITIALISED',
      party.nested !== nested && refused !== null && '0',
    ]);
    assert.equal(value === INVALID_SOCKET, error !== '0');
    return error === '0' ? this.#newSocket(party, value, 'created') : null;
  }

  #bind(party: Party, socket: ModelSocket, choice: number): void {
    const port = this.network.ports[choice] ?? this.#nextPort++;
    const expected = this.#answer(party, socket, 'bind');
    const { error } = party.call('bind', () => party.bind(socket.descriptor, port));
    // Removed, and the provider does not know yet: it serves no address.
    this.#expect('bind', error, [expected, party.removed && 'WSAEADDRNOTAVAIL']);
    if (error !== '0') return;
    socket.state = 'bound';
    socket.port = port;
  }

  #listen(party: Party, socket: ModelSocket, backlog: number): void {
    const answer = this.#answer(party, socket, 'listen');
    const expected = answer === '0' && this.#isLost(party, socket) ? 'WSAENETDOWN' : answer;
    const starts = expected === '0' && socket.state === 'bound';
    // One port has one listener at an adapter; and the adapter's resources are none of the switch's business.
    const taken = party.sockets.some(({ listens, port }) => listens && port === socket.port);
    const refusable = this.#refuses(party, 'listen');
    const { error } = party.call('listen', () => party.listen(socket.descriptor, backlog));
    this.#expect('listen', error, [
      starts && taken ? 'WSAENOBUFS' : expected,
      starts && refusable && 'WSAENOBUFS',
      starts && party.removed && 'WSAENETDOWN',
    ]);
    if (error !== '0') return;
    socket.state = 'listening';
    socket.backlog = Math.min(Math.max(backlog, 1), randomLimits.backlogMax);
    if (!starts) this.#refusable(socket);
    this.#checkBacklog(socket);
  }

  #refuses(party: Party, ...calls: readonly string[]): boolean {
    const { outOfResources = {} } = this.setup.faults[party.index];
    return calls.some((call) => call in outOfResources);
  }

  /** Requests that are on their way to `listener` or wait there. */
  #attemptsAt(listener: ModelSocket): Attempt[] {
    return this.attempts.filter(
      ({ socket, port, connection, uncertain }) =>
        socket.host !== listener.host && port === listener.port && (connection === null || uncertain),
    );
  }

  /** Its requests may be refused from now on. */
  #refusable(listener: ModelSocket): void {
    for (const { codes } of this.#attemptsAt(listener)) {
      codes.add('WSAECONNREFUSED').add('WSAETIMEDOUT');
      if (this.setup.pureSan) codes.add('WSAECONNRESET');
    }
  }

  #checkBacklog(listener: ModelSocket): void {
    const attempts = this.#attemptsAt(listener);
    // Those that are being accepted keep their place until WSPAccept ends.
    const accepting = this.parties[listener.host].frames.filter((name) => name === 'accept').length;
    if (attempts.length + accepting > listener.backlog) for (const { codes } of attempts) codes.add('WSAECONNREFUSED');
  }

  #connect(party: Party, socket: ModelSocket, target: number): void {
    const expected = this.#answer(party, socket, 'connect');
    // A request is known by the port that it comes from.
    if (expected === 'WSAEWOULDBLOCK' && this.network.ports.includes(socket.port)) return;
    const peer = this.parties[other(party.index)];
    const address = target === 3 ? this.network.nobody : target === 4 ? party.address : peer.address;
    const port = this.network.ports[target] ?? this.network.unansweredPort;
    const { error } = party.call('connect', () => party.connect(socket.descriptor, address, port));
    // A provider that does not know that its adapter is gone serves no address, its own neither.
    const toSelf = target === 4 && party.refusal === null && !socket.closed && !party.removed;
    this.#expect('connect', error, [
      toSelf ? 'WSAEADDRNOTAVAIL' : expected,
      expected === 'WSAEWOULDBLOCK' &&
        this.#refuses(party, 'connect', 'createConnector', 'allocateProtectionDomain', 'registerMemory') &&
        'WSAENOBUFS',
      // Removed, and the provider does not know yet.
      expected === 'WSAEWOULDBLOCK' && party.removed && 'WSAENETDOWN',
    ]);
    if (error !== 'WSAEWOULDBLOCK') return;
    const codes = new Set<string>();
    const attempt: Attempt = {
      socket,
      port,
      startedNs: this.network.nowNs,
      connection: null,
      uncertain: false,
      codes,
      ended: false,
    };
    const listeners = peer.sockets.filter(({ listens, port: at }) => listens && at === port);
    if (target >= 3 || listeners.length === 0) {
      codes.add('WSAETIMEDOUT');
      if (this.setup.pureSan) codes.add('WSAECONNRESET');
    }
    // A listener that comes or goes while the request is under way is noticed where it comes or goes.
    if (!this.strict) codes.add('WSAETIMEDOUT');
    if (peer.removed) codes.add('WSAETIMEDOUT');
    // Lost resources at the peer refuse it.
    if (this.#refuses(peer, 'prepareAccept', 'accept', 'post', 'registerMemory', 'allocateProtectionDomain')) {
      codes.add('WSAECONNREFUSED');
    }
    if (target !== 3) this.attempts.push(attempt);
    else attempt.codes.add('WSAETIMEDOUT');
    socket.attempt = attempt;
    socket.state = 'connecting';
    socket.news = null;
    for (const listener of peer.sockets) {
      if (listener.port === port && listener.state === 'listening') this.#checkBacklog(listener);
    }
  }

  #select(party: Party, socket: ModelSocket, mask: number): void {
    const expected = this.#answer(party, socket, 'select');
    const bad = (mask & ~(FD_ACCEPT | FD_CONNECT)) !== 0;
    const object = this.#nextEvent++;
    const outer = party.selecting;
    party.selecting = object;
    const before = socket.event;
    if (expected === '0' && !bad) {
      socket.event =
        mask === 0 ? null : { object, accept: (mask & FD_ACCEPT) !== 0, connect: (mask & FD_CONNECT) !== 0 };
      socket.acceptReports = 1;
      socket.acceptReported = false;
    }
    const { error } = party.call('select', () => party.select(socket.descriptor, object, mask));
    party.selecting = outer;
    this.#expect('select', error, [bad && (expected === '0' || expected === 'WSAEINVAL') ? 'WSAEINVAL' : expected]);
    if (error !== '0') socket.event = before;
    else this.#checkNews(party, socket);
  }

  /** An FD_CONNECT that is to be reported must have set the event object (L-04). */
  #checkNews(party: Party, socket: ModelSocket): void {
    const { news, event, closed, state } = socket;
    if (news === null || event === null || !event.connect || closed || state === 'dormant' || party.frames.length > 0)
      return;
    assert.ok(party.signaled.has(event.object), 'FD_CONNECT is not signalled (L-04)');
  }

  checkEvent(party: Party, event: bigint): void {
    const owner = party.sockets.find((socket) => socket.event?.object === event);
    const allowed = event === party.selecting || (owner !== undefined && !owner.closed && owner.state !== 'dormant');
    assert.ok(allowed || party.frames.includes('events'), 'an event object of no live selection (S-29)');
  }

  #events(party: Party, socket: ModelSocket, reset: boolean): void {
    const expected = this.#answer(party, socket, 'events');
    const { event, news, state } = socket;
    const live = expected === '0' && state !== 'dormant';
    const lost = live && this.#isLost(party, socket);
    const mustConnect = live && event?.connect && news !== null;
    const mayAccept = live && event?.accept && socket.acceptReports > 0 && state === 'listening';
    if (mustConnect) socket.news = null;
    const { value, error } = party.call('events', () =>
      party.events(socket.descriptor, reset && event !== null ? event.object : 0n),
    );
    this.#expect('events', error, [expected]);
    const accept = value.accept === null ? '' : value.accept === '0' ? 'accept' : `accept:${value.accept}`;
    this.#count('reported', `${accept} connect:${value.connect}`);
    if (value.connect !== null) {
      assert.ok(mustConnect, 'FD_CONNECT was reported, and nothing was to be (S-25)');
      assert.ok(news.has(value.connect), `FD_CONNECT says ${value.connect}; expected ${[...news].join(' or ')} (S-26)`);
    } else {
      assert.ok(!mustConnect, 'FD_CONNECT was not reported (L-04)');
    }
    if (value.accept !== null) {
      assert.ok(mayAccept, 'FD_ACCEPT was reported, and could not be (S-27)');
      assert.equal(value.accept, lost ? 'WSAENETDOWN' : '0', 'FD_ACCEPT says whether the listener is lost (4.5, D-28)');
      assert.ok(!socket.lossReported, 'FD_ACCEPT was reported after the loss of the listener (D-28)');
      socket.lossReported = lost;
      // Inside the up-call that resets the object there can have been a selection, from which it is counted anew.
      if (socket.event === event) {
        socket.acceptReports--;
        socket.acceptReported = true;
      }
    }
  }

  #accept(party: Party, listener: ModelSocket, verdict: number): void {
    const answer = this.#answer(party, listener, 'accept');
    const lost = answer === '0' && this.#isLost(party, listener);
    const expected = lost ? 'WSAENETDOWN' : answer;
    const full = this.#full(party);
    const { generation, nested } = party;
    const peer = this.parties[other(party.index)];
    if (answer === '0') {
      // Before the call, since up-calls inside it can report. What was recorded and not reported stays recorded (12, 4), and the next may be recorded.
      listener.acceptReports = Math.min(listener.acceptReports + 1, 2);
      listener.acceptReported = false;
    }
    let refused: string | null = null;
    let attempt: Attempt | null = null;
    let connection: Connection | null = null;
    let asked = 0;
    const { value, error } = party.call('accept', () =>
      party.accept(listener.descriptor, ({ buf }) => {
        asked++;
        this.observe();
        const port = buf![2]! * 256 + buf![3]!;
        const candidates = this.attempts.filter(
          (candidate) =>
            candidate.socket.host === peer.index && candidate.socket.port === port && candidate.connection === null,
        );
        attempt = candidates.at(-1) ?? null;
        assert.ok(attempt !== null, 'a connection request that nobody made');
        party.fireCondition();
        refused = this.#handleRefusal(party);
        // The peer can hear of it before WSPAccept returns.
        if (refused !== null) attempt.codes.add('WSAECONNREFUSED');
        if (verdict === 0) {
          connection = new Connection(party.index);
          // An earlier attempt of the same socket may be the one that waits here.
          if (candidates.length > 1) {
            connection.endanger();
            connection.tainted = true;
            attempt.uncertain = true;
          }
          this.connections.add(connection);
          attempt.connection = connection;
        } else if (verdict !== 2) {
          for (const { codes } of candidates) codes.add('WSAECONNREFUSED');
        }
        return verdict;
      }),
    );
    const offered = attempt as Attempt | null;
    const made = connection as Connection | null;
    const gone = offered !== null && (offered.ended || offered.socket.closed || !this.strict || peer.removed);
    const others = this.attempts.filter((candidate) => candidate.socket === offered?.socket).length > 1;
    assert.equal(value === INVALID_SOCKET, error !== '0');
    if (asked === 0) {
      this.#expect('accept', error, [
        expected === '0' ? 'WSAEWOULDBLOCK' : expected,
        expected === '0' && full.may && 'WSAEMFILE',
        // Noticed inside the up-call that signals what is left in the queue.
        expected === '0' && party.nested !== nested && (party.removed || listener.lost) && 'WSAENETDOWN',
        expected === '0' && party.generation !== generation && 'WSANOTINITIALISED',
      ]);
    } else {
      assert.equal(asked, 1, 'the condition function was called twice (S-24)');
      assert.equal(expected, '0', 'the condition function was called');
      const verdictResult = ['0', 'WSAECONNREFUSED', 'WSATRY_AGAIN'][verdict] ?? 'WSAEINVAL';
      const changed = party.nested !== nested;
      const refusing = this.#refuses(
        party,
        'prepareAccept',
        'accept',
        'post',
        'registerMemory',
        'allocateProtectionDomain',
      );
      this.#expect('accept', error, [
        verdict === 0 && refused !== null ? refused : verdictResult,
        (gone || others || changed) && 'WSAECONNRESET',
        changed && 'WSAENOTSOCK',
        changed && verdictResult,
        verdict === 0 && refusing && 'WSAENOBUFS',
        (changed || verdict === 0) && party.removed && 'WSAENETDOWN',
        changed && listener.lost && 'WSAENETDOWN',
        party.generation !== generation && 'WSANOTINITIALISED',
      ]);
    }
    if (asked > 0) listener.deferred = error === 'WSATRY_AGAIN';
    if (error === '0') {
      assert.ok(offered !== null && made !== null);
      const socket = this.#newSocket(party, value, 'connected');
      socket.port = listener.port;
      socket.connection = made;
      socket.end = 1;
      made.ends[1] = socket;
      if (offered.socket.connection !== made) made.ends[0] = offered.socket;
      if (!this.strict) made.endanger();
      if (gone) made.allow(1, 'WSAECONNRESET', 'WSAECONNABORTED');
      if (party.removed) made.allow(1, 'WSAENETDOWN');
      if (peer.removed) made.endanger();
      this.observe();
    } else if (made !== null && offered !== null && party.nested !== nested) {
      // What an up-call made happen undid what the peer had already been told.
      made.endanger();
    } else if (made !== null && offered !== null) {
      this.connections.delete(made);
      offered.connection = null;
    }
    if (error !== '0' && made !== null) offered?.codes.add('WSAECONNREFUSED').add('WSAETIMEDOUT');
  }

  /** The switch lets go of a socket. What that means to others follows. */
  #isClosing(socket: ModelSocket): void {
    socket.closed = true;
    this.#leaves(socket);
  }

  /** The socket's part in connections and attempts ends. */
  #leaves(socket: ModelSocket): void {
    const { connection, end, attempt } = socket;
    if (connection !== null && connection.ends[end] === socket) {
      connection.spoil();
      connection.allow(other(end), 'WSAECONNRESET');
      if (connection.usedRdma) {
        connection.allow(other(end), 'WSAECONNABORTED');
        connection.failures.add('WSAEFAULT');
      }
      // The other end may not have heard that it is connected.
      const asking = connection.ends[0];
      if (end === 1 && asking?.state === 'connecting') asking.attempt?.codes.add('WSAETIMEDOUT');
    }
    if (attempt !== null && !attempt.ended) {
      attempt.ended = true;
      attempt.connection?.allow(1, 'WSAECONNRESET', 'WSAECONNABORTED');
    }
    if (socket.state === 'listening') this.#refusable(socket);
  }

  #close(party: Party, socket: ModelSocket): void {
    this.observe();
    const { refusal } = party;
    const expected = refusal === 'WSANOTINITIALISED' ? refusal : socket.closed ? 'WSAENOTSOCK' : (refusal ?? '0');
    if (party.startups > 0 && !socket.closed) this.#isClosing(socket);
    const { error } = party.call('close', () => party.close(socket.descriptor));
    this.#expect('close', error, [expected]);
  }

  #duplicate(party: Party, socket: ModelSocket, ours: boolean): void {
    const expected = this.#answer(party, socket, 'duplicate');
    const { connection, end, state } = socket;
    const processId = ours ? party.index + 1 : 77;
    if (expected === '0') {
      if (state === 'listening') this.#refusable(socket);
    }
    const before = socket.event;
    const { error, token } = party.call('duplicate', () => party.duplicate(socket.descriptor, processId));
    this.#expect('duplicate', error, [expected, connection?.moved === true && 'WSAEINVAL']);
    if (error !== '0') return;
    assert.notEqual(token, 0);
    party.tokens.push({ value: token, ours, socket, used: false });
    socket.state = 'dormant';
    socket.duplicated = true;
    if (before !== null) party.signaled.delete(before.object);
    if (connection === null) return;
    const peer = connection.ends[other(end)];
    const busy = [socket, peer].some((one) => one !== null && one.pendingOf(false).length > 0);
    const underWay = connection.sent.some((sent, from) => sent.length > connection.received[from]!);
    if (busy || underWay) connection.tainted = true;
    const again = connection.moving;
    connection.moved = true;
    connection.moving = true;
    connection.movedNs = this.network.nowNs;
    connection.ends[end] = null;
    connection.clean =
      this.strict &&
      !connection.tainted &&
      !again &&
      peer?.state === 'connected' &&
      !peer.closed &&
      connection.reasons.every(({ size }) => size === 0) &&
      this.parties.every(({ removed }) => !removed);
    if (!connection.clean) connection.spoil();
  }

  #takeOver(party: Party, t: number): void {
    this.observe();
    const token = t % 4 < 2 ? party.tokens.at(-1) : party.tokens[Math.floor(t / 4) % party.tokens.length];
    const valid = token !== undefined && !token.used && token.ours && t % 4 !== 3;
    const value = token === undefined || t % 4 === 3 ? 0xdead : token.value;
    const { refusal, generation, nested } = party;
    const full = this.#full(party);
    const refused = this.#handleRefusal(party);
    const listening = valid && token.socket.connection === null;
    const reached = refusal === null && !full.must && valid;
    if (reached) token.used = true;
    const result = party.call('takeOver', () => party.socket(tcpProtocolInfo(value)));
    const wasFull = result.error === 'WSAEMFILE' && full.may;
    if (reached && wasFull && refused !== 'WSAEMFILE') token.used = false;
    const taken = party.sockets.some(({ listens, port }) => listening && listens && port === token.socket.port);
    this.#expect('takeOver', result.error, [
      refusal ?? (full.must ? 'WSAEMFILE' : valid ? (refused ?? (taken ? 'WSAENETDOWN' : '0')) : 'WSAEINVAL'),
      refusal === null && full.may && 'WSAEMFILE',
      reached && (party.removed || !this.strict) && 'WSAENETDOWN',
      reached && party.nested !== nested && 'WSAENETDOWN',
      reached && party.nested !== nested && refused !== null && '0',
      party.generation !== generation && 'WSANOTINITIALISED',
    ]);
    if (result.error !== '0') {
      if (token?.used) token.socket.connection?.spoil();
      return;
    }
    const { socket: from } = token!;
    const socket = this.#newSocket(party, result.value, listening ? 'listening' : 'connected');
    socket.port = from.port;
    socket.backlog = from.backlog;
    if (listening) return;
    socket.connection = from.connection;
    socket.end = from.end;
    socket.connection!.ends[socket.end] = socket;
    if (!socket.connection!.clean) socket.connection!.spoil();
  }

  #option(party: Party, socket: ModelSocket, set: boolean): void {
    const value = new Uint8Array(4);
    const expected = this.#answer(party, socket, set ? 'set' : 'get');
    const { provider, errno } = party;
    if (set) provider.WSPSetSockOpt(socket.descriptor, SOL_SOCKET, SO_DEBUG, value, 4, errno);
    else provider.WSPGetSockOpt(socket.descriptor, SOL_SOCKET, SO_DEBUG, value, out(4), errno);
    this.#expect(set ? 'set' : 'get', wsaName(errno.value), [expected]);
  }

  // ---------------------------------------------------------------- memory

  #register(party: Party, socket: ModelSocket, part: number, access: number): void {
    const expected = this.#answer(party, socket, 'register');
    const half = ARENA_BYTES / 2;
    const memory =
      part === 0 ? socket.arena : socket.arena.subarray(part === 1 ? 0 : half, part === 1 ? half : ARENA_BYTES);
    const same = socket.registrations.find(
      (one) =>
        one.kind === 'local' &&
        one.access === access &&
        one.memory.byteOffset === memory.byteOffset &&
        one.memory.length === memory.length,
    );
    const { value, error } = party.call('register', () => party.register(socket.descriptor, memory, access));
    const full = same !== undefined && same.references === randomLimits.referencesMax;
    this.#expect('register', error, [
      expected === '0' && full ? 'WSAENOBUFS' : expected,
      expected === '0' && same === undefined && this.#refuses(party, 'registerMemory') && 'WSAENOBUFS',
      expected === '0' && party.removed && 'WSAENETDOWN',
    ]);
    assert.equal(value === 0n, error !== '0');
    if (error !== '0') return;
    if (same !== undefined) {
      assert.equal(value, same.handle, 'one registration, two handles');
      same.references++;
      return;
    }
    socket.registrations.push({
      kind: 'local',
      memory,
      access,
      handle: value,
      descriptor: null,
      references: 1,
      used: 0,
    });
  }

  #registerRdma(party: Party, socket: ModelSocket, access: number): void {
    const expected = this.#answer(party, socket, 'register');
    const memory = this.#content(new Uint8Array(256));
    const { error, descriptor } = party.call('register', () => party.registerRdma(socket.descriptor, memory, access));
    this.#expect('registerRdma', error, [
      expected,
      expected === '0' && this.#refuses(party, 'registerMemory') && 'WSAENOBUFS',
      expected === '0' && party.removed && 'WSAENETDOWN',
    ]);
    if (error !== '0') return;
    socket.registrations.push({ kind: 'remote', memory, access, handle: 0n, descriptor, references: 1, used: 0 });
  }

  #deregister(party: Party, socket: ModelSocket, r: number): void {
    const expected = this.#answer(party, socket, 'deregister');
    const found = socket.registrations[r % (socket.registrations.length + 1)];
    const { error } = party.call('deregister', () =>
      found?.kind === 'remote'
        ? party.deregisterRdma(socket.descriptor, found.descriptor!)
        : party.deregister(socket.descriptor, found?.handle ?? 12_345n),
    );
    const lies = (request: ModelRequest): boolean =>
      found?.kind === 'local' && within(request.buffer, found.memory) !== null;
    const inUse = socket.pending.some(lies);
    this.#expect('deregister', error, [
      expected === '0' && found === undefined ? 'WSAEINVAL' : expected,
      expected === '0' && inUse && 'WSAEINVAL',
    ]);
    if (error !== '0' || found === undefined) return;
    found.references--;
    if (found.references > 0) return;
    socket.registrations.splice(socket.registrations.indexOf(found), 1);
    if (found.kind === 'local') return;
    this.#dead.push(found);
    const { connection, end } = socket;
    const peer = connection?.ends[other(end)];
    if (peer?.pending.some(({ remote }) => remote?.memory.buffer === found.memory.buffer)) {
      connection!.endanger();
      connection!.failures.add('WSAEFAULT');
    }
    const { memory } = found;
    this.#released.set(`remote ${this.#dead.length}`, { chunk: memory, content: memory.slice() });
  }

  /** Fills `bytes` with what nothing else is filled with. */
  #content(bytes: Uint8Array): Uint8Array {
    const id = ++this.#nextContent;
    for (let index = 0; index < bytes.length; index++) bytes[index] = (id * 37 + index * (7 + (id >> 8))) & 0xff;
    return bytes;
  }

  // ---------------------------------------------------------------- data

  #transfer(party: Party, socket: ModelSocket, action: Extract<Action, { type: 'transfer' }>): void {
    const state = this.#answer(party, socket, 'transfer');
    const { operation, notify, flaw } = action;
    const isRdma = operation === 'write' || operation === 'read';
    const receiving = operation === 'recv';
    const { connection, end } = socket;
    const peer = connection?.ends[other(end)] ?? null;

    // The remote part, for RDMA.
    const targets = (peer?.registrations ?? []).filter(({ kind }) => kind === 'remote');
    const target = targets[Math.floor(action.r / 8) % targets.length];
    const dead = action.r % 16 === 15 ? this.#dead.at(-1) : undefined;
    const named = dead ?? target;
    const descriptor = named?.descriptor ?? null;
    const needed = operation === 'write' ? MEM_WRITE : MEM_READ;
    if (isRdma && descriptor === null && flaw !== 'malformed') return;
    const offset = dead === undefined ? (target?.used ?? 0) : 0;

    const length = isRdma ? PART_BYTES : flaw === 'tooLong' ? MESSAGE_MAX + 1 : Math.min(action.length, MESSAGE_MAX);
    const buffer = flaw === 'unregistered' ? new Uint8Array(length) : socket.chunk(length);
    this.#released.delete(chunkKey(socket, buffer));
    if (receiving || operation === 'read') buffer.fill(0xaa);
    else this.#content(buffer);

    const access = receiving || operation === 'read' ? MEM_WRITE : MEM_READ;
    const locals = socket.registrations.filter(({ kind }) => kind === 'local');
    const covering = locals.find((one) => (one.access & access) !== 0 && within(buffer, one.memory) !== null);
    const handle = covering?.handle ?? locals[0]?.handle ?? 4711n;

    const elements = Math.min(action.elements, length);
    const overlapped =
      flaw === 'busy' && socket.pending.length > 0
        ? socket.pending[action.r % socket.pending.length]!.overlapped
        : (this.#structures.pop() ?? new WsaOverlapped());
    const busy = overlapped.words[0] === WSS_OPERATION_IN_PROGRESS;
    const queue = socket.pendingOf(receiving);
    const reporting = party.upcallFrames.filter(
      ({ name, handle: of }) => name === 'complete' && of === socket.handle,
    ).length;

    const splits = !isRdma && elements > this.setup.elementsMax;
    const argument = splits
      ? 'WSAEINVAL'
      : flaw === 'flags'
        ? isRdma
          ? 'WSAEINVAL'
          : 'WSAEOPNOTSUPP'
        : flaw === 'empty' || busy || (isRdma && flaw === 'malformed')
          ? 'WSAEINVAL'
          : flaw === 'tooLong' && operation === 'send'
            ? 'WSAEMSGSIZE'
            : null;
    const memoryError =
      covering === undefined
        ? isRdma && locals.length === 0
          ? 'WSAEINVAL'
          : 'WSAEFAULT'
        : isRdma && (offset + length > 256 || named === undefined || (named.access & needed) === 0)
          ? 'WSAEFAULT'
          : null;
    const working = party.refusal === null && !socket.closed;
    const allowed: (string | false)[] = [];
    if (working && argument !== null) allowed.push(argument);
    else if (state === 'reason') allowed.push(...this.#reasonsOf(socket));
    else if (state === 'WSA_IO_PENDING' && memoryError !== null) allowed.push(memoryError);
    else if (state === 'WSA_IO_PENDING') {
      if (queue.length >= pendingMax) allowed.push('WSAENOBUFS');
      else allowed.push('WSA_IO_PENDING', queue.length + reporting >= pendingMax && 'WSAENOBUFS');
      if (this.#refuses(party, 'post')) allowed.push('WSAENOBUFS');
      // Removed, and the provider does not know yet.
      if (party.removed) allowed.push('WSAENOBUFS');
    } else allowed.push(state);

    const starts = allowed.includes('WSA_IO_PENDING');
    let message = -1;
    if (starts && connection !== null) {
      this.#foresee(connection, end, operation, length, peer);
      if (isRdma) {
        connection.usedRdma = true;
        if (dead !== undefined || connection.moved) {
          connection.spoil();
          connection.endanger();
          connection.failures.add('WSAEFAULT');
        }
      }
    }
    const part =
      isRdma && dead === undefined && target !== undefined ? target.memory.subarray(offset, offset + length) : null;
    const remote =
      part === null ? null : { memory: part, bytes: operation === 'write' ? buffer.slice() : part.slice() };

    const before = overlapped.words.slice();
    overlapped.hEvent = notify ? 0x20n : 1n;
    const result = party.call('transfer', () => {
      const bufs = split(flaw === 'empty' ? buffer.subarray(0, 0) : buffer, elements, handle);
      const { provider, errno } = party;
      const flags = flaw === 'flags' ? 1 : 0;
      const s = socket.descriptor;
      switch (operation) {
        case 'send':
          return provider.WSPSend(s, bufs, bufs.length, null, flags, overlapped, null, null, errno);
        case 'recv':
          return provider.WSPRecv(s, bufs, bufs.length, null, out(flags), overlapped, null, null, errno);
        default: {
          const call = operation === 'write' ? provider.WSPRdmaWrite : provider.WSPRdmaRead;
          const given = flaw === 'malformed' ? new Uint8Array(32) : descriptor!;
          return call.call(
            provider,
            s,
            bufs,
            bufs.length,
            given,
            32,
            offset,
            null,
            flags,
            overlapped,
            null,
            null,
            errno,
          );
        }
      }
    });
    assert.equal(result, -1);
    const error = wsaName(party.errno.value);
    this.#expect(operation, error, allowed);
    if (error !== 'WSA_IO_PENDING') {
      if (busy) overlapped.words.set(before.subarray(6), 6);
      else assert.deepEqual(overlapped.words.slice(0, 6), before.slice(0, 6), 'a refused call changed the structure');
      return;
    }
    if (operation === 'send') {
      message = connection!.sent[end].push({ bytes: buffer.slice(), before: connection!.rdma[end].splice(0) }) - 1;
    }
    if (isRdma && dead === undefined) target!.used += length;
    const request: ModelRequest = {
      operation,
      socket,
      overlapped,
      buffer,
      notify,
      message,
      remote,
      notifying: false,
      done: null,
    };
    socket.pending.push(request);
    if (remote !== null) connection!.rdma[end].push(request);
    this.observe();
    if (request.done === null) assert.equal(overlapped.words[0], WSS_OPERATION_IN_PROGRESS, 'Internal (S-07)');
  }

  /** What may come of a transfer that breaks an assumption about the switch. */
  #foresee(connection: Connection, end: 0 | 1, operation: Operation, length: number, peer: ModelSocket | null): void {
    const breaks = (): void => {
      connection.endanger();
      // It may be over before the other end has heard that it is connected.
      connection.ends[0]?.attempt?.codes.add('WSAETIMEDOUT');
      for (const error of ['WSAEMSGSIZE', 'WSAEFAULT', 'WSAECONNABORTED']) connection.failures.add(error);
    };
    // E-02: a receive that is too small for what may come, or a message that may be too long for a receive. What had
    // come after the message that found no room is still delivered, so the order has a gap then.
    if (operation === 'recv' ? length < MESSAGE_USUAL : operation === 'send' && length > MESSAGE_USUAL) {
      breaks();
      connection.tainted = true;
    }
    if (operation !== 'send') return;
    if (connection.moving) {
      connection.tainted = true;
      connection.spoil();
      breaks();
    }
    if (this.setup.receiverNotReady === 'fail') {
      const underWay = connection.sent[end].length - connection.received[end];
      const places = this.setup.isShallow === true ? SHALLOW_PLACES : randomLimits.queueDepth;
      const posted = Math.min(peer?.pendingOf(true).length ?? 0, places);
      if (underWay + 1 > posted) breaks();
    }
  }

  #reasonsOf(socket: ModelSocket): readonly string[] {
    if (socket.reason !== null) return [socket.reason];
    return [...(socket.connection?.reasons[socket.end] ?? [])];
  }

  #outcome(party: Party, socket: ModelSocket, r: number): void {
    const request = socket.pending[r % socket.pending.length];
    if (request === undefined) return;
    const before = request.overlapped.words.slice();
    const expected = this.#answer(party, socket, 'get');
    const result = party.call('outcome', () => party.outcome(socket.descriptor, request));
    this.observe();
    const { done } = request;
    // The poll, or what it led to, can have closed the socket.
    const closed = socket.closed && (party.startups === 0 ? 'WSANOTINITIALISED' : 'WSAENOTSOCK');
    const failed = party.stateName === 'failed' && 'WSAENETDOWN';
    this.#expect('outcome', result.error, [
      closed || failed || expected !== '0'
        ? closed || failed || expected
        : done === null || request.notifying
          ? 'WSA_IO_INCOMPLETE'
          : done.error,
      request.notifying && (done?.error ?? null),
    ]);
    assert.equal(result.value, result.error === '0');
    assert.equal(result.bytes, result.error === '0' ? done!.bytes : -1);
    assert.equal(before[0], WSS_OPERATION_IN_PROGRESS);
  }

  /** Requests that a later one of their direction has come before; its up-call must follow at once. */
  readonly #overtaken = new Set<ModelRequest>();

  /** A request was completed. */
  done(request: ModelRequest, error: string, bytes: number): void {
    const { socket, operation, buffer } = request;
    const { connection, end, pending } = socket;
    const what = `${operation} completed with ${error}`;
    this.#count(operation, `-> ${error}`);
    const queue = socket.pendingOf(operation === 'recv');
    const position = queue.indexOf(request);
    for (const earlier of queue.slice(0, position)) {
      assert.ok(earlier.notify && !request.notify, `${what} before an earlier one (S-13)`);
      this.#overtaken.add(earlier);
    }
    pending.splice(pending.indexOf(request), 1);
    request.done = { error, bytes };
    this.#finished.push(request);
    this.#released.set(chunkKey(socket, buffer), { chunk: buffer, content: buffer.slice() });
    assert.ok(connection !== null);

    if (error !== '0') {
      assert.equal(bytes, 0, what);
      const reasons = connection.reasons[end];
      const allowed =
        (error === 'WSA_OPERATION_ABORTED' && socket.closed) ||
        connection.failures.has(error) ||
        (isReason(error) && reasons.has(error) && (socket.reason === null || socket.reason === error));
      const because = [...reasons, ...connection.failures, socket.closed ? 'WSA_OPERATION_ABORTED' : ''].join(' ');
      assert.ok(allowed, `${what}; expected ${because} (reason ${socket.reason})`);
      if (isReason(error) && socket.state === 'broken' && !connection.failures.has(error)) socket.reason = error;
      return;
    }
    if (operation !== 'recv') {
      assert.equal(bytes, buffer.length, what);
      if (operation === 'read' && request.remote !== null && !connection.tainted) {
        assert.deepEqual(buffer, request.remote.bytes, 'what an RDMA read brought');
      }
      return;
    }
    const from = other(end);
    const text = buffer.slice(0, bytes);
    // A message that a broken assumption let arrive during a hand-over may be in the buffer and yet be lost.
    const isClean = buffer.subarray(bytes).every((byte) => byte === 0xaa);
    assert.ok(isClean || connection.tainted, 'a receive wrote behind its message');
    if (bytes === 0) return assert.ok(socket.duplicated, 'a receive completed with 0 bytes (S-16)');
    const index = connection.place(from, position);
    const expected = connection.sent[from][index];
    if (connection.tainted) {
      const known = connection.sent[from].some((message) => sameBytes(message.bytes, text));
      return assert.ok(known, 'a message that nobody sent');
    }
    assert.ok(expected !== undefined, 'a message that nobody sent (S-12)');
    assert.deepEqual(text, expected.bytes, 'a message (S-12)');
    connection.took(from, index);
    this.#rdmaBefore(socket, expected);
    this.#count('received', '');
  }

  /** What was written before a message is there when it comes, and what was read before it was taken (S-14, S-15). */
  #rdmaBefore(receiver: ModelSocket, { before }: Message): void {
    for (const { operation, remote } of before) {
      const { memory, bytes } = remote!;
      if (operation === 'write') assert.deepEqual(memory, bytes, 'a message overtook an RDMA write (S-14)');
      // The memory is its owner's again: a read that comes now would bring this.
      const isLive = receiver.registrations.some((one) => one.memory.buffer === memory.buffer);
      if (operation === 'read' && isLive) memory.fill(0xee);
    }
  }

  // ---------------------------------------------------------------- looking on

  /** Looks at what can be seen of every socket, and asks for the cause of what has changed. */
  observe(): void {
    for (const { startedNs, codes, ended } of this.attempts) {
      if (!ended && this.network.nowNs - startedNs >= CONNECT_MS * 1e6) codes.add('WSAETIMEDOUT');
    }
    for (const connection of this.connections) {
      if (connection.clean && this.network.nowNs - connection.movedNs >= MIGRATION_MS * 1e6) connection.spoil();
    }
    const unexplained = new Map<ModelSocket, Visible>();
    for (;;) {
      let explained = false;
      unexplained.clear();
      for (const party of this.parties) {
        for (const socket of party.sockets) {
          // While the last clean-up runs, every call is refused before it looks for a socket.
          if (socket.closed && party.startups === 0) continue;
          const now = this.#visible(party, socket);
          if (socket.closed) {
            assert.equal(now, null, 'a closed descriptor is still a socket (S-29)');
          } else {
            assert.ok(now !== null, 'a socket is gone that nobody closed (S-11)');
            if (now === socket.state) continue;
            if (this.#explain(party, socket, now)) explained = true;
            else unexplained.set(socket, now);
          }
        }
      }
      if (!explained) break;
    }
    for (const [socket, now] of unexplained) {
      assert.fail(`a socket of host ${socket.host} went from ${socket.state} to ${now} without cause (10.3)`);
    }
    for (const { sockets } of this.parties) for (const socket of sockets) this.#observeRequests(socket);
  }

  #visible(party: Party, socket: ModelSocket): Visible | null {
    const name = party.provider.socketState(socket.descriptor);
    if (name === null) return null;
    const visible = name.split('.')[0] as Visible;
    assert.ok(visibleStates.includes(visible), `a socket that the switch knows is ${name}`);
    return visible;
  }

  /** Whether the outside may have taken `socket` to `now`. Then it has. */
  #explain(party: Party, socket: ModelSocket, now: Visible): boolean {
    const { attempt, state } = socket;
    if (state === 'connecting' && attempt !== null) {
      if (now === 'bound') {
        if (attempt.codes.size === 0) return false;
        attempt.ended = true;
        attempt.connection?.allow(1, 'WSAECONNRESET', 'WSAECONNABORTED');
        socket.news = attempt.codes;
        socket.state = 'bound';
        this.#checkNews(party, socket);
        return true;
      }
      const { connection } = attempt;
      if (connection === null) return false;
      attempt.ended = true;
      socket.connection = connection;
      socket.end = 0;
      connection.ends[0] = socket;
      if (!this.strict) connection.endanger();
      if (party.removed) connection.allow(0, 'WSAENETDOWN');
      if (this.parties[other(party.index)].removed) connection.endanger();
      // Its peer can be gone already.
      const far = connection.ends[1];
      if (far !== null && (far.closed || far.state !== 'connected')) connection.allow(0, 'WSAECONNRESET');
      if (far !== null && far.state === 'dormant') connection.endanger();
      socket.news = new Set(['0']);
      socket.state = 'connected';
      if (now !== 'connected') return this.#explain(party, socket, now);
      this.#checkNews(party, socket);
      return true;
    }
    if (state === 'connected' && now === 'broken') {
      const { connection, end } = socket;
      if (connection === null || connection.reasons[end].size === 0) return false;
      socket.state = 'broken';
      connection.allow(other(end), 'WSAECONNRESET');
      if (connection.usedRdma) {
        connection.allow(other(end), 'WSAECONNABORTED');
        connection.failures.add('WSAEFAULT');
      }
      return true;
    }
    return false;
  }

  #observeRequests(socket: ModelSocket): void {
    for (const request of [...socket.pending]) {
      const { words } = request.overlapped;
      if (words[0] === WSS_OPERATION_IN_PROGRESS || request.done !== null) continue;
      assert.ok(!request.notify, 'Internal changed, and nobody was notified (S-06, S-07)');
      this.done(request, wsaName(words[5]!), words[2]!);
    }
  }

  /** After an action, when nothing is running: what holds then. */
  #check(): void {
    for (const { provider, stateName, startups, index, sockets, created } of this.parties) {
      assert.deepEqual(brokenInvariants(provider.system), []);
      assert.equal(stateName === 'uninitialised', startups === 0, `host ${index}: ${stateName} (S-30)`);
      if (startups > 0) continue;
      assert.deepEqual([...created], [], 'switch handles are open after the last clean-up (L-10)');
      for (const { pending } of sockets) assert.equal(pending.length, 0, 'a request outlived the last clean-up');
    }
    for (const request of this.#finished) {
      const { words } = request.overlapped;
      const { error, bytes } = request.done!;
      const found = { internal: words[0], bytes: words[2], high: words[3], flags: words[4], error: wsaName(words[5]!) };
      assert.deepEqual(
        found,
        { internal: 0, bytes, high: 0, flags: 0, error },
        'the structure of a done request (11.1)',
      );
      if (this.#structures.length < 4) this.#structures.push(request.overlapped);
    }
    this.#finished = [];
  }

  #pass(ms: number): void {
    this.network.advanceTo(this.network.nowNs + ms * 1e6);
  }

  /** Lets both hosts work until nothing happens any more, time limits aside. */
  *#settle(): Waiting {
    let idle = false;
    for (let turn = 0; turn < 10_000; turn++) {
      let done = 0;
      for (const party of this.parties) {
        done += party.call('poll', () => party.provider.poll());
        this.observe();
      }
      if (done > 0) idle = false;
      else if (idle) break;
      else idle = yield;
    }
    this.#atRest();
  }

  #isAtRest(): boolean {
    try {
      this.#atRest();
      return true;
    } catch (error) {
      if (error instanceof assert.AssertionError) return false;
      throw error;
    }
  }

  /** What has to have happened once everything is at rest, where nothing goes wrong. */
  #atRest(): void {
    if (!this.strict || this.parties.some(({ frames, removed }) => frames.length > 0 || removed)) return;
    for (const party of this.parties) {
      const peer = this.parties[other(party.index)];
      const listeners = party.sockets.filter(({ listens }) => listens);
      for (const socket of party.sockets.filter(
        ({ state, closed, lost }) => state === 'listening' && !closed && lost,
      )) {
        assert.ok(this.#isLost(party, socket), 'a listener whose device is gone has not heard of it (10.3)');
        const { event, acceptReported, lossReported } = socket;
        if (event?.accept && !acceptReported && !lossReported) {
          assert.ok(party.signaled.has(event.object), 'FD_ACCEPT is not signalled of a lost listener (L-05, D-28)');
        }
      }
      const rows = party.provider.system.rows[M.socket]!;
      const queued = Array.from({ length: rows.used }, (_, row) => row)
        .filter((row) => rows.stateName(row) === 'listening.open')
        .reduce((sum, row) => sum + rows.context(row)['queued']!, 0);
      const waiting = peer.sockets.filter(
        ({ state, closed, attempt }) =>
          !closed && state === 'connecting' && listeners.some(({ port }) => port === attempt!.port),
      ).length;
      const left = this.network.tellsWithdrawals ? queued : Math.min(queued, waiting);
      assert.equal(left, waiting, 'requests that wait at the listeners (L-06, S-23)');
      const [only] = listeners;
      if (listeners.length === 1 && queued > 0 && only!.event?.accept && !only!.acceptReported && !only!.deferred) {
        assert.ok(party.signaled.has(only!.event.object), 'FD_ACCEPT is not signalled (L-05)');
      }
    }
    for (const connection of this.connections) {
      const { ends, sent, received, reasons, tainted } = connection;
      const [near, far] = ends;
      if (connection.moving && near?.state === 'connected' && far?.state === 'connected') {
        connection.moving = false;
        if (connection.clean) this.#count('moved', 'cleanly');
      }
      if (reasons.some(({ size }) => size > 0) || tainted) continue;
      if (near === null || far === null || near.closed || far.closed) continue;
      if (near.connection !== far.connection) continue;
      for (const from of [0, 1] as const) {
        const receives = ends[other(from)]!.pendingOf(true).length;
        const underWay = sent[from].length - received[from];
        assert.ok(receives === 0 || underWay === 0, `${underWay} messages and ${receives} receives wait (L-12)`);
        const late = ends[from]!.pending.filter(({ message }) => message >= 0 && message < received[from]);
        assert.equal(late.length, 0, 'a send is pending whose message was received (L-01)');
      }
    }
  }

  /** A connection from `party` to the other host, with memory registered at both ends; as far as it goes. */
  *#pair(party: Party, stage: number): Waiting {
    const peer = this.parties[other(party.index)];
    const isListener = ({ listens, port }: ModelSocket) => listens && port === this.network.ports[0];
    let listener = peer.sockets.find(isListener);
    if (listener === undefined) {
      listener = this.#socket(peer) ?? undefined;
      if (listener === undefined) return;
      this.#bind(peer, listener, 0);
      if (stage > 0) this.#select(peer, listener, FD_ACCEPT);
      this.#listen(peer, listener, 2);
    }
    const near = this.#socket(party);
    if (near === null) return;
    this.#bind(party, near, -1);
    if (stage > 0) this.#select(party, near, FD_CONNECT);
    this.#connect(party, near, 0);
    if (stage === 1) return;
    yield* this.#settle();
    if (!listener.listens) return;
    this.#accept(peer, listener, 0);
    yield* this.#settle();
    const far = peer.sockets.at(-1)!;
    if (far.connection === null || far.connection !== near.connection) return;
    for (const end of [near, far]) {
      this.#register(this.parties[end.host], end, 0, MEM_READWRITE);
      if (stage === 3) this.#registerRdma(this.parties[end.host], end, MEM_READWRITE);
    }
  }

  // ---------------------------------------------------------------- the end

  /** Ends the run: lets everything come to rest, takes everything away, and looks at what is left. */
  *finish(): Waiting {
    for (const party of this.parties) {
      party.armed.length = 0;
      party.completionFails = false;
      party.refuseHandle = 0;
    }
    yield* this.#rest();
    for (const { sockets } of this.parties) {
      for (const { closed, state, pending, freed } of sockets) {
        if (closed) assert.ok(freed, 'a closed socket keeps its switch handle (L-07)');
        else assert.notEqual(state, 'connecting', 'a connect never ends (L-04)');
        const stuck = state === 'broken' || closed ? pending : state === 'dormant' ? pending : [];
        assert.equal(stuck.length, 0, `a request never ends (L-01): ${stuck.map(({ operation }) => operation)}`);
      }
    }
    if (this.setup.ending === 'close') {
      for (const party of this.parties) {
        if (party.startups === 0) continue;
        for (const socket of party.sockets) {
          if (!socket.closed) this.perform2(() => this.#close(party, socket));
        }
      }
      yield* this.#rest();
      for (const party of this.parties) {
        assert.deepEqual(
          party.provider.inventory(),
          { sockets: 0, requests: 0, connectionRequests: 0, buffers: 0, dueUpcalls: 0 },
          'what is left when every socket is closed',
        );
        assert.equal(party.created.size, 0, 'a closed socket keeps its switch handle (L-07)');
        if (party.startups === 0) continue;
        const { listeners: _, ...left } = party.footing.inventory();
        assert.deepEqual(kept(left), {}, 'what the adapter holds when every socket is closed');
      }
    }
    for (const party of this.parties) {
      while (party.startups > 0) yield* this.perform({ type: 'cleanup', host: party.index });
      assert.deepEqual(
        party.provider.inventory(),
        { sockets: 0, requests: 0, connectionRequests: 0, buffers: 0, dueUpcalls: 0 },
        'what is left after the last clean-up',
      );
      assert.ok(party.inventoryBeforeClose !== null, 'the adapter was closed');
      assert.deepEqual(kept(party.inventoryBeforeClose), {}, 'what the adapter held when it was closed');
    }
    for (const [key, { chunk, content }] of this.#released) {
      assert.deepEqual(chunk, content, `memory was written after it was released: ${key} (S-19, S-35)`);
    }
    if (this.#tables === undefined) for (const party of this.parties) this.#replay(party);
  }

  perform2(act: () => void): void {
    act();
    this.observe();
    this.#check();
  }

  /** Until nothing is due any more, timers included. */
  *#rest(): Waiting {
    for (let turn = 0; turn < 1000; turn++) {
      yield* this.perform({ type: 'settle' });
      // A timer that has expired and was not taken yet is no longer due.
      const expired = this.parties.some(({ footing }) => footing.clock.hasExpired);
      if (!expired && !this.network.advance()) return;
    }
    assert.fail('the world does not come to rest');
  }

  /** The journal of a provider, played again, ends in the provider's state. */
  #replay(party: Party): void {
    party.provider.closeJournal();
    const { verdict, system } = replayJournal(readJournal(party.sink.bytes()));
    assert.equal(verdict.type, 'equal', JSON.stringify(verdict));
    assert.deepEqual(digestOfSystem(system), party.provider.digest(), 'the journal, played again');
  }
}

/** Carries out a run to its end. @throws what it finds */
export function carryOut({ setup, actions }: Run, options: WorldOptions = {}): World {
  const world = new World(setup, options);
  world.now(world.begin());
  for (const action of actions) world.now(world.perform(action));
  world.now(world.finish());
  return world;
}

/** As {@link carryOut}, on a ground that takes its own time. */
export async function carryOutLive({ setup, actions }: Run, options: WorldOptions): Promise<World> {
  const world = new World(setup, options);
  await world.live(world.begin());
  for (const action of actions) await world.live(world.perform(action));
  await world.live(world.finish());
  return world;
}

/** What of `inventory` is there at all. */
const kept = (inventory: Inventory): Inventory =>
  Object.fromEntries(Object.entries(inventory).filter(([, count]) => count !== 0));

/** Where `part` lies in `whole`; null when it doesn't. */
function within(part: Uint8Array, whole: Uint8Array): number | null {
  if (part.buffer !== whole.buffer) return null;
  const offset = part.byteOffset - whole.byteOffset;
  return offset >= 0 && offset + part.length <= whole.length ? offset : null;
}

function split(
  buffer: Uint8Array,
  elements: number,
  handle: bigint,
): { len: number; buf: Uint8Array; handle: bigint }[] {
  const size = Math.max(1, Math.floor(buffer.length / Math.max(1, elements)));
  return Array.from({ length: Math.max(1, elements) }, (_, index) => {
    const end = index === elements - 1 || elements === 0 ? buffer.length : (index + 1) * size;
    const buf = buffer.subarray(index * size, end);
    return { len: buf.length, buf, handle };
  });
}

const sameBytes = (left: Uint8Array, right: Uint8Array): boolean =>
  left.length === right.length && left.every((byte, index) => byte === right[index]);

const chunkKey = (socket: ModelSocket, buffer: Uint8Array): string =>
  `${socket.host} ${socket.handle} ${Math.floor(buffer.byteOffset / CHUNK_BYTES)}`;

/** States that an action is mostly for. */
const preferred: Readonly<Partial<Record<Action['type'], readonly Visible[]>>> = {
  bind: ['created'],
  listen: ['bound', 'listening'],
  connect: ['bound'],
  select: ['bound', 'listening', 'connecting'],
  events: ['listening', 'connecting', 'connected', 'bound'],
  accept: ['listening'],
  removeListener: ['listening'],
  duplicate: ['connected', 'listening'],
  register: ['connected'],
  registerRdma: ['connected'],
  deregister: ['connected', 'broken'],
  transfer: ['connected'],
  outcome: ['connected', 'broken', 'dormant'],
};
