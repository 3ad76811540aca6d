/** What the specification says of each step of a provider, and of a registration. */

import { type Limits, pendingMax, WSA } from '../../machines/index.ts';
import { enters, from, leaves, on, propertiesOf, type Step, type StepProperty, to, value } from './property.ts';

const p = propertiesOf('provider');

const refusal = ({ given }: Step): number => given['refusal']!;
const field = ({ before }: Step, name: string): number => value(before, name);
const starts = (step: Step): boolean => on(step, 'spi.startup') && refusal(step) === 0;
const running = ['ready', 'failed'] as const;
const isLast = (step: Step): boolean =>
  on(step, 'spi.cleanup') && from(step, ...running) && field(step, 'startups') === 1;

function providerProperties({ startupsMax, socketsMax }: Limits): readonly StepProperty[] {
  const fits = (step: Step): boolean => field(step, 'startups') < startupsMax;
  return [
    p.leads('2.1, 2.2, WSD-007, WSD-011: start-ups nest, and the last clean-up ends', [
      { on: ['spi.startup'], in: ['uninitialised'], when: starts, to: ['opening'] },
      { on: ['adapter.opened'], in: ['opening'], to: ['ready'] },
      { on: ['adapter.openFailed'], in: ['opening'], to: ['uninitialised'] },
      { on: ['adapter.removed'], in: ['ready'], to: ['failed'] },
      {
        on: ['spi.cleanup'],
        in: running,
        when: (step) => isLast(step) && field(step, 'sockets') > 0,
        to: ['cleaningUp'],
      },
      { on: ['spi.cleanup'], in: running, when: isLast, to: ['closing'] },
      { on: ['socket.closed'], in: ['cleaningUp'], when: (step) => field(step, 'sockets') === 1, to: ['closing'] },
      { on: ['adapter.closed'], in: ['closing'], to: ['uninitialised'] },
    ]),
    p.expects(
      '2.1, 2.2, D-09: start-up and clean-up can be called at any time',
      ['uninitialised', ...running, 'cleaningUp', 'closing'],
      ['spi.startup', 'spi.cleanup'],
    ),
    p.expects('2.1: the adapter opens or not', ['opening'], ['adapter.opened', 'adapter.openFailed']),
    p.expects('2.2: and closes', ['closing'], ['adapter.closed']),
    p.expects('10.3: it can be removed while it is open', [...running, 'cleaningUp'], ['adapter.removed']),
    p.expects(
      'S-30: sockets are closed whatever has become of the adapter',
      [...running, 'cleaningUp'],
      ['socket.closed'],
      (step) => field(step, 'sockets') > 0,
    ),
    p.expects(
      'S-30: sockets open while it works',
      ['ready'],
      ['socket.opened'],
      (step) => field(step, 'sockets') < socketsMax,
    ),
    p.exactly('2.1: the first start-up opens the adapter', 'openAdapter', (step) => enters(step, 'opening')),
    p.exactly('2.2, WSD-010: the last clean-up closes it, when all sockets are gone', 'closeAdapter', (step) =>
      enters(step, 'closing'),
    ),
    p.exactly('2.2, WSD-009: the last clean-up ends all sockets', 'endAllSockets', isLast),
    p.order('2.2: before the adapter is closed', ['endAllSockets'], ['closeAdapter']),
    p.exactly('10.3: a removed adapter breaks all sockets', 'breakAllSockets', (step) => enters(step, 'failed')),
    p.exactly(
      '2.1, 2.2: every call is answered, a first start-up when the adapter has',
      'answer',
      (step) => (on(step, 'spi.startup', 'spi.cleanup') && !to(step, 'opening')) || from(step, 'opening'),
    ),
    p.argument('2.1, 2.2, D-09: as the tables of errors say', 'answer', 'error', (step) => {
      if (from(step, 'opening')) return on(step, 'adapter.opened') ? 0 : value(step.given, 'error');
      if (on(step, 'spi.startup')) {
        if (refusal(step) !== 0) return refusal(step);
        if (!from(step, 'ready')) return WSA.WSASYSNOTREADY;
        return fits(step) ? 0 : WSA.WSAEPROCLIM;
      }
      if (from(step, 'ready')) return 0;
      return from(step, 'failed') ? WSA.WSAENETDOWN : WSA.WSANOTINITIALISED;
    }),
    p.holds(
      'WSD-007, WSD-008, S-30: start-ups are counted, and clean-ups against them',
      (step) => {
        const startups = field(step, 'startups');
        const now = step.after['startups'];
        if (on(step, 'adapter.opened')) return now === 1;
        if (starts(step) && from(step, 'ready') && fits(step)) return now === startups + 1;
        return now === (on(step, 'spi.cleanup') && from(step, ...running) ? startups - 1 : startups);
      },
      'startups',
    ),
    p.holds(
      'S-30, S-10: so are sockets',
      (step) => {
        const sockets = field(step, 'sockets');
        if (on(step, 'socket.opened')) return step.after['sockets'] === sockets + 1;
        return step.after['sockets'] === (on(step, 'socket.closed') ? sockets - 1 : sockets);
      },
      'sockets',
    ),
  ];
}

const b = propertiesOf('registeredBuffer');

const pinned = (step: Step): boolean => field(step, 'pins') > 0;
const references = (step: Step): number => field(step, 'references');
const deregisters = (step: Step): boolean => on(step, 'spi.deregisterMemory') && !pinned(step);
const releases = (step: Step): boolean =>
  (deregisters(step) && references(step) === 1) || (on(step, 'socket.freed') && !pinned(step));

function bufferProperties(limits: Limits): readonly StepProperty[] {
  const counts = (step: Step): boolean =>
    on(step, 'spi.registerMemory') && from(step, 'registered') && references(step) < limits.referencesMax;
  return [
    b.leads('6.1, 6.2, WSD-182: memory is registered until its last deregistration', [
      { on: ['spi.registerMemory'], in: ['unregistered'], to: ['registering'] },
      { on: ['adapter.registered'], in: ['registering'], to: ['registered'] },
      { on: ['adapter.registerFailed'], in: ['registering'], to: ['released'] },
      { on: ['spi.deregisterMemory', 'socket.freed'], in: ['registered'], when: releases, to: ['released'] },
    ]),
    b.expects('6.1: memory is registered', ['unregistered', 'registered'], ['spi.registerMemory']),
    b.expects('6.1: or not', ['registering'], ['adapter.registered', 'adapter.registerFailed']),
    b.expects('6.2: deregistered, and pinned', ['registered'], ['spi.deregisterMemory']),
    b.expects(
      'S-20: by as many requests as can be pending, and one that is refused',
      ['registered'],
      ['request.pinned'],
      (step) => field(step, 'pins') <= 2 * pendingMax(limits),
    ),
    b.expects('S-20: until each has let go', ['registered'], ['request.unpinned'], pinned),
    b.expects('WSD-189: and is released with its socket', ['registered'], ['socket.freed'], (step) => !pinned(step)),
    b.exactly('6.1: the adapter registers it once', 'registerRegion', (step) => leaves(step, 'unregistered')),
    b.exactly('WSD-187, S-19: and nobody reaches it from then on', 'deregisterRegion', releases),
    b.exactly('8.2: what is over is forgotten', 'forget', (step) => enters(step, 'released')),
    b.exactly('S-35: a request that needs it is remembered', 'rememberPin', (step) => on(step, 'request.pinned')),
    b.argument('S-35: by its row', 'rememberPin', 'request', ({ given: { request } }) => request!),
    b.exactly(
      '6.1, 6.2: every call is answered, a first registration when the adapter has',
      'answer',
      (step) =>
        from(step, 'registering') ||
        on(step, 'spi.deregisterMemory') ||
        (on(step, 'spi.registerMemory') && from(step, 'registered')),
    ),
    b.argument('6.1, 6.2, WSD-183: as the tables of errors say', 'answer', 'error', (step) => {
      if (on(step, 'adapter.registerFailed')) return value(step.given, 'error');
      if (on(step, 'spi.registerMemory')) return counts(step) ? 0 : WSA.WSAENOBUFS;
      return on(step, 'spi.deregisterMemory') && pinned(step) ? WSA.WSAEINVAL : 0;
    }),
    b.order(
      'WSD-187: the peer has lost it before the call is answered, or the registration forgotten',
      ['deregisterRegion'],
      ['forget', 'answer'],
    ),
    b.holds(
      'WSD-182, S-20: registrations are counted',
      (step) => {
        // Who counts what is over?
        if (to(step, 'released')) return null;
        const now = step.after['references'];
        if (on(step, 'adapter.registered')) return now === 1;
        if (counts(step)) return now === references(step) + 1;
        return now === (deregisters(step) ? references(step) - 1 : references(step));
      },
      'references',
    ),
    b.holds(
      'S-20, S-35: so are the requests that need it',
      (step) => {
        const pins = field(step, 'pins');
        if (on(step, 'request.pinned')) return step.after['pins'] === pins + 1;
        return step.after['pins'] === (on(step, 'request.unpinned') ? pins - 1 : pins);
      },
      'pins',
    ),
  ];
}

export const resourceProperties = (limits: Limits): readonly StepProperty[] => [
  ...providerProperties(limits),
  ...bufferProperties(limits),
];
