/** An end over the whole provider: each exchange is SPI calls and completion up-calls, with a journal in ring mode. */

import net from 'node:net';

import { IwarpAdapter } from '../../../driver/adapter/iwarp.ts';
import { SystemClock } from '../../../driver/clock.ts';
import { EventLoop } from '../../../driver/event-loop.ts';
import { Provider } from '../../../driver/provider.ts';
import { REMOTE_DESCRIPTOR_BYTES } from '../../../driver/remote-descriptor.ts';
import {
  fromSockaddr,
  type Handle,
  out,
  type Socket,
  sockaddrBytes,
  tcpProtocolInfo,
  toSockaddr,
  type WsaBuf,
  WsaNetworkEvents,
  WsaOverlapped,
} from '../../../driver/spi.ts';
import {
  AF_INET,
  FD_ACCEPT,
  FD_CONNECT,
  INVALID_SOCKET,
  IPPROTO_TCP,
  MEM_READ,
  MEM_WRITE,
  SOCK_STREAM,
  WSA,
  WSA_FLAG_OVERLAPPED,
} from '../../../machines/index.ts';
import {
  Echoes,
  type End,
  type Exchange,
  type Measured,
  messageBytes,
  RoundTrips,
  type Scenario,
  WINDOW,
} from './exchange.ts';

/** A request that can be started again and again. */
class Request extends WsaOverlapped {
  readonly memory: Uint8Array;
  readonly #done: () => void;

  constructor(memory: Uint8Array, done: () => void) {
    super();
    // An event object's handle: completions come by up-call.
    this.hEvent = 0x20n;
    this.memory = memory;
    this.#done = done;
  }

  done(failure: number): void {
    if (failure === 0) this.succeeded();
    // What the end of a connection aborts is expected.
    else if (failure !== WSA.WSA_OPERATION_ABORTED && failure !== WSA.WSAECONNRESET) {
      throw new Error(`a request ended with ${failure}`);
    }
  }

  protected succeeded(): void {
    this.#done();
  }
}

const nothing = (): void => {};

/** A receive of one of many connections: it has what its message is answered with, and all call one function. */
class EchoReceive extends Request {
  readonly socket: Socket;
  readonly answer: Request;
  readonly #arrived: (receive: EchoReceive) => void;

  constructor(memory: Uint8Array, socket: Socket, answer: Request, arrived: (receive: EchoReceive) => void) {
    super(memory, nothing);
    this.socket = socket;
    this.answer = answer;
    this.#arrived = arrived;
  }

  protected override succeeded(): void {
    this.#arrived(this);
  }
}

const address = (port: number) => ({ family: 'IPv4', address: '127.0.0.1', port }) as const;
const freePort = (): number => {
  using bound = new net.BoundSocket({ host: '127.0.0.1', port: 0 });
  return bound.address().port;
};

export class IwarpEnd implements End {
  readonly #provider: Provider;
  readonly #errno = out(0);
  /** Of the call at hand: as in C, the array and its element are nobody's own. */
  readonly #buffers: [WsaBuf] = [{ len: 0, buf: null }];
  readonly #signaled = new Map<bigint, () => void>();
  readonly #loop: EventLoop;
  #nextHandle = 1n;
  #nextEvent = 0x100n;
  #sockets: Socket[] = [];
  #exchange: Exchange | null = null;

  constructor(crc: boolean) {
    const adapter = new IwarpAdapter({ addresses: ['127.0.0.1'], crc, startupsMax: 2000, startupMs: 60_000 });
    const clock = new SystemClock();
    const config = { loopback: true, connectMs: 60_000 };
    const provider = new Provider({ adapter, clock, config, journal: { mode: 'ring' } });
    this.#provider = provider;
    const events: (() => void)[] = [];
    const error = provider.WSPStartupEx(
      0x0202,
      { wVersion: 0, wHighVersion: 0, szDescription: '' },
      tcpProtocolInfo(),
      {
        WPUCreateSocketHandle: () => this.#nextHandle++,
        WPUCloseSocketHandle: () => 0,
        WPUCompleteOverlappedRequest: (_handle, overlapped, failure) => {
          overlapped.setWord(0, 0);
          (overlapped as Request).done(failure);
          return 0;
        },
        WPUSetEvent: (event) => {
          events.push(this.#signaled.get(event)!);
          return true;
        },
        WPUResetEvent: () => true,
      },
      {},
    );
    if (error !== 0) throw new Error(`WSPStartupEx failed with ${error}`);
    this.#loop = new EventLoop({
      poll: () => {
        const done = provider.poll();
        // The switch looks at events outside of the provider.
        while (events.length > 0) events.shift()!();
        return done;
      },
      hasMore: () => provider.hasDue,
      provider,
      wakeUp: adapter.wakeUp,
      clock,
    });
    this.#loop.run(new AbortController().signal).catch((broken: unknown) => {
      queueMicrotask(() => {
        throw broken;
      });
    });
  }

  async serve(scenario: Scenario): Promise<number> {
    const port = freePort();
    const listener = this.#socket(port);
    this.#select(listener, FD_ACCEPT, () => {
      const peer = new Uint8Array(sockaddrBytes('IPv6'));
      for (;;) {
        const socket = this.#provider.WSPAccept(listener, peer, out(peer.length), null, null, this.#errno);
        if (socket === INVALID_SOCKET) break;
        if (fromSockaddr(peer) === null) throw new Error('a peer without address');
        this.#sockets.push(socket);
        this.#answer(socket, scenario);
      }
    });
    this.#check('WSPListen', this.#provider.WSPListen(listener, 1024, this.#errno));
    return port;
  }

  async connect(scenario: Scenario, port: number, connections: number): Promise<void> {
    const sockets: Socket[] = [];
    // A hundred at a time: a listener's queue has a bound.
    while (sockets.length < connections) {
      const some = Math.min(100, connections - sockets.length);
      sockets.push(...(await Promise.all(Array.from({ length: some }, () => this.#connect(port)))));
    }
    this.#exchange = await this.#prepare(sockets, scenario);
  }

  run(ms: number): Promise<Measured> {
    return this.#exchange!(ms);
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) this.#provider.WSPCloseSocket(socket, this.#errno);
    this.#sockets = [];
    this.#loop.nudge();
    while (this.#provider.inventory().sockets > 0) await new Promise((resolve) => setTimeout(resolve, 10));
  }

  // ---------------------------------------------------------------- the accepting end

  #answer(socket: Socket, scenario: Scenario): void {
    const bytes = messageBytes[scenario];
    // The first message of a connection may be no longer than 256 bytes: a greeting of one goes before the others.
    const [greeting] = this.#memory(socket, 1, 1, MEM_WRITE);
    this.#recv(socket, new Request(greeting!, nothing));
    switch (scenario) {
      case 'roundTrip': {
        const memory = this.#memory(socket, 2, bytes, MEM_WRITE);
        const [reply] = this.#memory(socket, 1, bytes, MEM_READ);
        const send = new Request(reply!, nothing);
        for (const part of memory) this.#recv(socket, new EchoReceive(part, socket, send, this.#answerFirst));
        return;
      }
      case 'echoes': {
        // One message is on its way: its receive is posted again before the answer goes.
        const [memory, reply] = this.#memory(socket, 2, bytes, MEM_READ | MEM_WRITE) as [Uint8Array, Uint8Array];
        this.#recv(socket, new EchoReceive(memory, socket, new Request(reply, nothing), this.#answerLast));
        return;
      }
      case 'messages': {
        const [acknowledgement] = this.#memory(socket, 1, 1, MEM_READ);
        for (const part of this.#memory(socket, WINDOW, bytes, MEM_WRITE)) {
          const send = new Request(acknowledgement!, nothing);
          const receive = new Request(part, () => {
            this.#recv(socket, receive);
            this.#send(socket, send);
          });
          this.#recv(socket, receive);
        }
        return;
      }
      case 'writes': {
        // The client asks for the descriptor, writes, and says in a message which writes are over.
        const target = new Uint8Array(WINDOW * bytes);
        const [answer] = this.#memory(socket, 1, REMOTE_DESCRIPTOR_BYTES, MEM_READ);
        const length = out(REMOTE_DESCRIPTOR_BYTES);
        const { errno } = this;
        const registered = this.#provider.WSPRegisterRdmaMemory;
        this.#check(
          'WSPRegisterRdmaMemory',
          registered.call(this.#provider, socket, target, target.length, MEM_WRITE, answer!, length, errno),
        );
        for (const part of this.#memory(socket, WINDOW + 1, 1, MEM_WRITE)) {
          const send = new Request(answer!, nothing);
          const receive = new Request(part, () => {
            this.#recv(socket, receive);
            this.#send(socket, send);
          });
          this.#recv(socket, receive);
        }
        return;
      }
    }
  }

  /** The answer first; another receive is posted already. */
  readonly #answerFirst = (receive: EchoReceive): void => {
    this.#send(receive.socket, receive.answer);
    this.#recv(receive.socket, receive);
  };

  readonly #answerLast = (receive: EchoReceive): void => {
    this.#recv(receive.socket, receive);
    this.#send(receive.socket, receive.answer);
  };

  // ---------------------------------------------------------------- the connecting end

  async #prepare(sockets: readonly Socket[], scenario: Scenario): Promise<Exchange> {
    switch (scenario) {
      case 'roundTrip':
        return this.#roundTrip(sockets[0]!);
      case 'echoes':
        return this.#echoes(sockets);
      case 'messages':
        return this.#messages(sockets[0]!);
      case 'writes':
        return this.#writes(sockets[0]!);
    }
  }

  #roundTrip(socket: Socket): Exchange {
    const bytes = messageBytes.roundTrip;
    const memory = this.#memory(socket, 2, bytes, MEM_WRITE);
    const [message] = this.#memory(socket, 1, bytes, MEM_READ);
    const send = new Request(message!, nothing);
    let rounds: RoundTrips;
    let over: (measured: Measured) => void;
    for (const part of memory) {
      const receive = new Request(part, () => {
        if (rounds.next()) this.#send(socket, send);
        else over(rounds.measured());
        this.#recv(socket, receive);
      });
      this.#recv(socket, receive);
    }
    return (ms) =>
      new Promise((resolve) => {
        over = resolve;
        rounds = new RoundTrips(ms);
        this.#send(socket, send);
        this.#loop.nudge();
      });
  }

  #echoes(sockets: readonly Socket[]): Exchange {
    const bytes = messageBytes.echoes;
    let echoes: Echoes;
    // All send the same one, as with `node:net`.
    const message = new Uint8Array(bytes).fill(1);
    const arrived = (receive: EchoReceive): void => {
      this.#recv(receive.socket, receive);
      if (echoes.next()) this.#send(receive.socket, receive.answer);
    };
    const starts = sockets.map((socket) => {
      const [memory] = this.#memory(socket, 1, bytes, MEM_WRITE);
      this.#register(socket, message, MEM_READ);
      const send = new Request(message, nothing);
      this.#recv(socket, new EchoReceive(memory!, socket, send, arrived));
      return () => this.#send(socket, send);
    });
    return (ms) =>
      new Promise((resolve) => {
        echoes = new Echoes(ms, sockets.length, resolve);
        for (const start of starts) start();
        this.#loop.nudge();
      });
  }

  #messages(socket: Socket): Exchange {
    const messages = this.#memory(socket, WINDOW, messageBytes.messages, MEM_READ);
    return this.#stream(socket, 1, (index, done) => {
      const send = new Request(messages[index]!, done);
      return () => this.#send(socket, send);
    });
  }

  async #writes(socket: Socket): Promise<Exchange> {
    const bytes = messageBytes.writes;
    const [descriptor] = this.#memory(socket, 1, REMOTE_DESCRIPTOR_BYTES, MEM_WRITE);
    const [ask] = this.#memory(socket, 1, 1, MEM_READ);
    const asked = new Promise<void>((resolve) => this.#recv(socket, new Request(descriptor!, () => resolve())));
    this.#send(socket, new Request(ask!, nothing));
    this.#loop.nudge();
    await asked;
    return this.#stream(socket, REMOTE_DESCRIPTOR_BYTES, (index, done) => {
      const memory = new Uint8Array(bytes).fill(1);
      const buffers = [{ len: bytes, buf: memory, handle: this.#register(socket, memory, MEM_READ) }];
      const write = new Request(memory, nothing);
      // Completes after the write.
      const over = new Request(ask!, done);
      return () => {
        this.#provider.WSPRdmaWrite(
          socket,
          buffers,
          1,
          descriptor!,
          REMOTE_DESCRIPTOR_BYTES,
          index * bytes,
          null,
          0,
          write,
          null,
          null,
          this.#errno,
        );
        this.#expectPending('WSPRdmaWrite');
        this.#send(socket, over);
      };
    });
  }

  /**
   * Keeps {@link WINDOW} transfers on their way; each is answered in a message of `answerBytes`.
   *
   * @param make - makes transfer `index`, which calls `done` when its memory is free; returns what starts it
   */
  #stream(socket: Socket, answerBytes: number, make: (index: number, done: () => void) => () => void): Exchange {
    const free: (() => void)[] = [];
    let [sent, answered] = [0, 0];
    let [startMs, endMs] = [0, 0];
    let over: (measured: Measured) => void;
    const fill = (): void => {
      while (sent - answered < WINDOW && free.length > 0 && performance.now() < endMs) {
        sent++;
        free.shift()!();
      }
      if (answered === sent && free.length === WINDOW) {
        over({ count: sent, seconds: (performance.now() - startMs) / 1e3, p50Us: 0 });
      }
    };
    for (let index = 0; index < WINDOW; index++) {
      const start = make(index, () => {
        free.push(start);
        fill();
      });
      free.push(start);
    }
    for (const part of this.#memory(socket, WINDOW + 1, answerBytes, MEM_WRITE)) {
      const receive = new Request(part, () => {
        this.#recv(socket, receive);
        answered++;
        fill();
      });
      this.#recv(socket, receive);
    }
    return (ms) =>
      new Promise((resolve) => {
        over = resolve;
        [sent, answered] = [0, 0];
        startMs = performance.now();
        endMs = startMs + ms;
        fill();
        this.#loop.nudge();
      });
  }

  // ---------------------------------------------------------------- the provider's interface

  get errno() {
    return this.#errno;
  }

  async #connect(port: number): Promise<Socket> {
    const socket = this.#socket(49_000);
    await new Promise<void>((resolve, reject) => {
      this.#select(socket, FD_CONNECT, (failure) =>
        failure === 0 ? resolve() : reject(new Error(`WSPConnect ended with ${failure}`)),
      );
      const name = toSockaddr(address(port));
      this.#provider.WSPConnect(socket, name, name.length, null, null, null, null, this.#errno);
      if (this.#errno.value !== WSA.WSAEWOULDBLOCK) reject(new Error(`WSPConnect failed with ${this.#errno.value}`));
      this.#loop.nudge();
    });
    const [greeting] = this.#memory(socket, 1, 1, MEM_READ);
    this.#send(socket, new Request(greeting!, nothing));
    return socket;
  }

  #socket(port: number): Socket {
    const socket = this.#provider.WSPSocket(
      AF_INET,
      SOCK_STREAM,
      IPPROTO_TCP,
      tcpProtocolInfo(),
      0,
      WSA_FLAG_OVERLAPPED,
      this.#errno,
    );
    this.#check('WSPSocket', socket === INVALID_SOCKET ? -1 : 0);
    const name = toSockaddr(address(port));
    this.#check('WSPBind', this.#provider.WSPBind(socket, name, name.length, this.#errno));
    this.#sockets.push(socket);
    return socket;
  }

  #select(socket: Socket, mask: number, tell: (failure: number) => void): void {
    const event = this.#nextEvent;
    this.#nextEvent += 4n;
    this.#signaled.set(event, () => {
      const events = new WsaNetworkEvents();
      this.#provider.WSPEnumNetworkEvents(socket, event, events, this.#errno);
      if ((events.lNetworkEvents & mask) !== 0) tell(events.iErrorCode[Math.log2(mask)]!);
    });
    this.#check('WSPEventSelect', this.#provider.WSPEventSelect(socket, event, mask, this.#errno));
  }

  /** `count` parts of `bytes`, registered as one. */
  #memory(socket: Socket, count: number, bytes: number, access: number): Uint8Array[] {
    const memory = new Uint8Array(count * bytes).fill(1);
    this.#register(socket, memory, access);
    return Array.from({ length: count }, (_, index) => memory.subarray(index * bytes, (index + 1) * bytes));
  }

  #register(socket: Socket, memory: Uint8Array, access: number): Handle {
    const handle = this.#provider.WSPRegisterMemory(socket, memory, memory.length, access, this.#errno);
    this.#check('WSPRegisterMemory', handle === 0n ? -1 : 0);
    return handle;
  }

  #recv(socket: Socket, request: Request): void {
    this.#provider.WSPRecv(socket, this.#naming(request), 1, null, null, request, null, null, this.#errno);
    this.#expectPending('WSPRecv');
  }

  #send(socket: Socket, request: Request): void {
    this.#provider.WSPSend(socket, this.#naming(request), 1, null, 0, request, null, null, this.#errno);
    this.#expectPending('WSPSend');
  }

  #naming({ memory }: Request): readonly WsaBuf[] {
    const [buffer] = this.#buffers;
    buffer.len = memory.length;
    buffer.buf = memory;
    return this.#buffers;
  }

  #expectPending(call: string): void {
    // At the end of a turn the peer is the first to go.
    if (this.#errno.value !== WSA.WSA_IO_PENDING && this.#errno.value !== WSA.WSAECONNRESET)
      throw new Error(`${call} failed with ${this.#errno.value}`);
  }

  #check(call: string, result: number): void {
    if (result !== 0) throw new Error(`${call} failed with ${this.#errno.value}`);
  }
}
