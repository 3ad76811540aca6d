/**
 * Frames: calls that a world lets go on while other things happen.
 *
 * An up-call, the condition function, the adapter's close: in a world each begins in one step and ends in another one. On
 * a driver they are nested in the call that led to them, so the last that has begun ends first, and a call's result is
 * had when those inside it have ended. The last clean-up makes the completion up-calls that are due before it returns, but
 * those of sockets that are inside one.
 */

/** States in which a machine's row stands for a frame, by machine. */
const inside: Readonly<Record<string, readonly string[]>> = {
  notifier: ['running'],
  acceptor: ['deciding', 'decidingClosed'],
  descriptor: ['asked', 'askedEnded', 'askedRemoved'],
  taker: ['asked', 'askedEnded', 'askedCrippled'],
  // One thread: whichever it is inside of.
  host: ['askedForListener', 'deciding', 'asked'],
  accepting: ['deciding'],
  device: ['closing'],
};

/** A row that can stand for a frame. */
export interface Frame {
  readonly machine: string;
  readonly row: number;
  /** Its states in which the frame goes on. */
  readonly inside: readonly string[];
  /** One character, different for each; of a notifier it is its row. */
  readonly key: string;
}

/** Key of the last clean-up. */
const CLEAN_UP = '!';

/** All that a world can have. @param rowsOf - rows of a machine; 0 when the world has none */
export function framesOf(rowsOf: (machine: string) => number): readonly Frame[] {
  let others = 'a'.charCodeAt(0);
  return Object.entries(inside).flatMap(([machine, states]) =>
    Array.from({ length: rowsOf(machine) }, (_, row) => ({
      machine,
      row,
      inside: states,
      key: machine === 'notifier' ? String(row) : String.fromCharCode(others++),
    })),
  );
}

/** What a step did to the frames. */
export interface FrameChange {
  /** Keys of frames that ended, and of those that began. */
  readonly ended: readonly string[];
  readonly begun: readonly string[];
  /** Keys of sockets with completion up-calls that are due afterwards. */
  readonly due: string;
  /** It was a clean-up, the last one or one after it. */
  readonly cleanedUp: boolean;
}

/** Frames that go on after a step, outermost first; null when no driver can do it, since another one would end first. */
export function stackAfter(stack: string, { ended, begun, due, cleanedUp }: FrameChange): string | null {
  let now = stack;
  for (let left = ended.length; left > 0; left--) {
    if (!ended.includes(now.at(-1) ?? '')) return null;
    now = now.slice(0, -1);
  }
  now += begun.join('');
  if (cleanedUp) now += CLEAN_UP;
  while (now.endsWith(CLEAN_UP) && ![...due].some((key) => !now.includes(key))) now = now.slice(0, -1);
  return now;
}
