/** What the specification says of each step of a network-event record: section 12. */

import { WSA } from '../../machines/index.ts';
import { enters, from, on, propertiesOf, type Step, type StepProperty, value } from './property.ts';

/** What a record of network events holds, besides the error of a connect. */
export const recordFlags = [
  'acceptSelected',
  'connectSelected',
  'acceptRecorded',
  'connectRecorded',
  'connectUnreported',
  'acceptEnabled',
  'lossUnreported',
] as const;

const p = propertiesOf('networkEvents');

const had = ({ before }: Step, name: string): boolean => before[name] === 1;
const says = ({ given }: Step, name: string): boolean => given[name] === 1;
const bit = (truth: boolean): number => (truth ? 1 : 0);

const selects = (step: Step): boolean => on(step, 'socket.selected');
const enumerates = (step: Step): boolean => on(step, 'spi.enumNetworkEvents') && from(step, 'recording');
const accepts = (step: Step): boolean => on(step, 'socket.acceptEnded');
const isLost = (step: Step): boolean => on(step, 'socket.listenerLost');
/** Of what FD_ACCEPT tells there is something that was not told. */
const acceptHolds = (step: Step): boolean => says(step, 'ready') || had(step, 'lossUnreported');
/** FD_ACCEPT holds at a selection, or when WSPAccept ends; or a request or a loss has come and nothing keeps it back. */
const recordsAccept = (step: Step): boolean =>
  (selects(step) && says(step, 'accept') && acceptHolds(step)) ||
  (accepts(step) && had(step, 'acceptSelected') && acceptHolds(step)) ||
  ((on(step, 'socket.requestQueued') || isLost(step)) &&
    had(step, 'acceptSelected') &&
    (had(step, 'acceptEnabled') || says(step, 'deferred')));
const recordsConnect = (step: Step): boolean =>
  (selects(step) && says(step, 'connect') && had(step, 'connectUnreported')) ||
  (on(step, 'socket.connectEnded') && had(step, 'connectSelected'));
const stops = (step: Step): boolean => on(step, 'socket.stopped');

export const eventProperties: readonly StepProperty[] = [
  p.leads('4.6, 4.7, WSD-107: a record stops with its socket', [
    { on: ['socket.stopped'], in: ['recording'], to: ['stopped'] },
    { on: ['socket.freed'], in: ['stopped'], to: ['freed'] },
  ]),
  p.expects(
    '12: a record hears of everything while its socket lives',
    ['recording'],
    [
      'socket.selected',
      'socket.requestQueued',
      'socket.acceptEnded',
      'socket.listenerLost',
      'socket.connectStarted',
      'socket.connectEnded',
      'socket.stopped',
      'spi.enumNetworkEvents',
      'upcall.eventReset',
    ],
  ),
  p.expects(
    '10.2: a dormant socket can be enumerated, and an up-call may return late',
    ['stopped'],
    ['spi.enumNetworkEvents', 'upcall.eventReset', 'socket.freed'],
  ),
  ...(['accept', 'connect'] as const).map((name) =>
    p.holds(
      `WSD-100, WSD-101: a selection of ${name} replaces the one before`,
      (step) => {
        const field = `${name}Selected`;
        const now = step.after[field];
        return now === (selects(step) ? step.given[name] : stops(step) ? 0 : step.before[field]);
      },
      'acceptSelected',
      'connectSelected',
    ),
  ),
  p.holds(
    '12, WSD-074, WSD-086: FD_ACCEPT is recorded when it holds, cleared by enumeration and selection',
    (step) => {
      const clears = selects(step) || enumerates(step) || stops(step);
      return step.after['acceptRecorded'] === (recordsAccept(step) ? 1 : clears ? 0 : step.before['acceptRecorded']);
    },
    'acceptRecorded',
  ),
  p.holds(
    '12, WSD-106, S-27: once recorded it is not again before WSPAccept or a selection',
    (step) => {
      const enables = selects(step) || accepts(step);
      const now = step.after['acceptEnabled'];
      return now === (recordsAccept(step) || stops(step) ? 0 : enables ? 1 : step.before['acceptEnabled']);
    },
    'acceptEnabled',
  ),
  p.holds(
    '4.5, D-28: the loss of a listener is kept until it was reported',
    (step) => {
      const gone = stops(step) || (enumerates(step) && had(step, 'acceptRecorded'));
      return step.after['lossUnreported'] === (isLost(step) ? 1 : gone ? 0 : step.before['lossUnreported']);
    },
    'lossUnreported',
  ),
  p.holds('4.5, D-28: with WSAENETDOWN, and a request with none', ({ effects, before }) => {
    const report = effects.find(({ name }) => name === 'reportNetworkEvents');
    // Without the bit nobody reads it.
    return report === undefined || report.args['accept'] === 0
      ? null
      : report.args['acceptError'] === (before['lossUnreported'] === 1 ? WSA.WSAENETDOWN : 0);
  }),
  p.holds(
    '12, WSD-051: FD_CONNECT is recorded when an attempt ends, cleared by enumeration, selection and the next attempt',
    (step) => {
      const clears = selects(step) || enumerates(step) || stops(step) || on(step, 'socket.connectStarted');
      return step.after['connectRecorded'] === (recordsConnect(step) ? 1 : clears ? 0 : step.before['connectRecorded']);
    },
    'connectRecorded',
  ),
  p.holds(
    '4.4, S-25, D-11: the result of an attempt is kept until it was reported, or another begins',
    (step) => {
      const now = step.after['connectUnreported'];
      if (on(step, 'socket.connectEnded')) return now === 1;
      const gone =
        stops(step) || on(step, 'socket.connectStarted') || (enumerates(step) && had(step, 'connectRecorded'));
      return now === (gone ? 0 : step.before['connectUnreported']);
    },
    'connectUnreported',
  ),
  p.holds(
    'WSD-052: with its error',
    (step) => {
      if (on(step, 'socket.connectEnded')) return step.after['connectError'] === step.given['error'];
      // Nobody asks a record that has stopped.
      return stops(step) ? null : step.after['connectError'] === step.before['connectError'];
    },
    'connectError',
  ),
  p.exactly(
    '12, WSD-102, L-05: the event object is set for what is recorded, and again for what is left when it was reset',
    'setEvent',
    (step) =>
      from(step, 'recording') &&
      (((recordsAccept(step) || recordsConnect(step)) && !(accepts(step) && says(step, 'accepted'))) ||
        (on(step, 'upcall.eventReset') && (had(step, 'acceptRecorded') || had(step, 'connectRecorded')))),
  ),
  p.exactly(
    'WSD-085: a successful WSPAccept resets it first',
    'resetEvent',
    (step) => accepts(step) && says(step, 'accepted'),
  ),
  p.exactly('4.5: enumeration reports', 'reportNetworkEvents', (step) => on(step, 'spi.enumNetworkEvents')),
  p.exactly('4.5: and works in every state', 'answer', (step) => on(step, 'spi.enumNetworkEvents')),
  p.argument('4.5: so it says', 'answer', 'error', () => 0),
  p.argument('WSD-103: what is on record of FD_ACCEPT', 'reportNetworkEvents', 'accept', (step) =>
    bit(from(step, 'recording') && had(step, 'acceptRecorded')),
  ),
  p.argument('WSD-103: what is on record of FD_CONNECT', 'reportNetworkEvents', 'connect', (step) =>
    bit(from(step, 'recording') && had(step, 'connectRecorded')),
  ),
  p.holds(
    'WSD-052: and its result',
    ({ effects, before }) => {
      const report = effects.find(({ name }) => name === 'reportNetworkEvents');
      // Without the bit nobody reads it.
      return report === undefined || report.args['connect'] === 0
        ? null
        : report.args['connectError'] === before['connectError'];
    },
    'connectError',
  ),
  p.holds('S-29, WSD-107: a record that has stopped is blank', (step) =>
    enters(step, 'stopped') ? recordFlags.every((name) => value(step.after, name) === 0) : null,
  ),
];
