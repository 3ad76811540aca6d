/**
 * What the machines keep between them: one counts what is in another's list, one holds what another has counted.
 *
 * The same as `brokenInvariants` of `machines/`, as formulas over the rows of a world. They hold between any two events.
 */

import { attachedStates, detachedStates, pinningStates, postedStates } from '../../machines/index.ts';
import {
  all,
  always,
  any,
  atMost,
  choose,
  count,
  each,
  equal,
  type Formula,
  iff,
  less,
  not,
  type Property,
  row,
  some,
  sum,
  given,
  type WorldDefinition,
} from '../explorer/index.ts';

/** What holds between the machines of `definition`. */
export function agreement({ rows }: WorldDefinition): Property[] {
  const numbers = (machine: string): number[] => Array.from({ length: rows[machine] ?? 0 }, (_, number) => number);
  const [sockets, queues, requests] = [numbers('socket'), numbers('requestQueue'), numbers('overlappedRequest')];
  const [arrivals, buffers] = [numbers('connectionRequest'), numbers('registeredBuffer')];
  const socket = (number: number) => row('socket', number);
  const queue = (number: number) => row('requestQueue', number);
  const request = (number: number) => row('overlappedRequest', number);
  const arrival = (number: number) => row('connectionRequest', number);
  const buffer = (number: number) => row('registeredBuffer', number);
  const events = (number: number) => row('networkEvents', number);
  const isOpen = (number: number): Formula => not(socket(number).in('unopened'));
  const listed = (place: Formula): Formula => less(0, place);
  /** Members of queue `number` in one of `states`. */
  const inQueue = (number: number, states: readonly string[]): Formula =>
    count(requests, (member) =>
      all(equal(request(member).owner, number), listed(request(member).place), request(member).in(...states)),
    );
  const started = (member: number): Formula => not(request(member).in('unstarted'));
  const reported = (member: number): Formula => request(member).in('due', 'notifying');
  const ofListener = (number: number, states: readonly string[]): Formula =>
    count(arrivals, (member) =>
      all(equal(arrival(member).owner, number), listed(arrival(member).place), arrival(member).in(...states)),
    );
  const pinned = (member: number): Formula => some(buffers, (number) => request(member).pins(number));
  const drained = (number: number): Formula =>
    sum(
      ...[2 * number, 2 * number + 1].map((of) => queue(of).in('drained')),
      row('firstMessage', number).in('drained'),
    );

  return [
    always('the provider counts its sockets', equal(row('provider', 0).field('sockets'), count(sockets, isOpen))),
    ...(requests.length === 0
      ? []
      : [
          always(
            "a request is in its queue's order until it is reported",
            each(requests, (member) =>
              any(not(started(member)), iff(listed(request(member).place), not(reported(member)))),
            ),
          ),
          always(
            "a request's socket is open",
            each(requests, (member) =>
              each(queues, (number) =>
                given(all(started(member), equal(request(member).owner, number)), isOpen(number >> 1)),
              ),
            ),
          ),
          always(
            'the oldest request knows that it is, and is reported as soon as it is finished',
            each(requests, (member) =>
              all(
                given(
                  listed(request(member).place),
                  iff(request(member).field('head'), equal(request(member).place, 1)),
                ),
                not(all(request(member).in('finished'), equal(request(member).place, 1))),
              ),
            ),
          ),
          always(
            'a queue counts its pending, held and posted requests',
            each(queues, (number) =>
              all(
                equal(
                  queue(number).field('pending'),
                  count(requests, (member) => all(started(member), equal(request(member).owner, number))),
                ),
                given(
                  queue(number).in('open', 'paused'),
                  all(
                    equal(queue(number).field('held'), inQueue(number, ['held'])),
                    equal(queue(number).field('posted'), inQueue(number, postedStates)),
                  ),
                ),
              ),
            ),
          ),
          always(
            'a request has pinned nothing once it needs nothing',
            each(requests, (member) => given(pinned(member), request(member).in(...pinningStates))),
          ),
        ]),
    ...(arrivals.length === 0
      ? []
      : [
          always(
            'a listener counts its queued, offered and deferred requests',
            each(sockets, (number) => {
              const offered = ofListener(number, ['offered', 'accepting', 'withdrawnWhileOffered']);
              const deferred = ofListener(number, ['deferred']);
              return given(
                socket(number).in('listening'),
                all(
                  equal(socket(number).field('offered'), offered),
                  equal(socket(number).field('queued'), sum(offered, deferred, ofListener(number, ['queued']))),
                  given(socket(number).field('deferred'), less(0, deferred)),
                  atMost(
                    socket(number).field('queued'),
                    choose(less(socket(number).field('backlog'), offered), offered, socket(number).field('backlog')),
                  ),
                ),
              );
            }),
          ),
        ]),
    ...(queues.length === 0
      ? []
      : [
          always(
            'a socket counts what is drained of it',
            each(sockets, (number) => equal(socket(number).field('drained'), drained(number))),
          ),
        ]),
    always(
      'a socket knows whether it has a connector',
      each(sockets, (number) =>
        all(
          given(socket(number).in(...attachedStates), socket(number).field('attached')),
          given(socket(number).in(...detachedStates), not(socket(number).field('attached'))),
        ),
      ),
    ),
    always(
      'only what is selected is recorded',
      each(sockets, (number) =>
        all(
          atMost(events(number).field('acceptRecorded'), events(number).field('acceptSelected')),
          atMost(events(number).field('connectRecorded'), events(number).field('connectSelected')),
        ),
      ),
    ),
    ...(requests.length === 0 || queues.length === 0
      ? []
      : [
          always(
            'who waits for the first message is paired with it',
            each(sockets, (number) =>
              given(
                row('firstMessage', number).in('waiting'),
                some(requests, (member) =>
                  all(equal(row('firstMessage', number).field('request'), member), request(member).in('paired')),
                ),
              ),
            ),
          ),
        ]),
    ...(buffers.length === 0
      ? []
      : [
          always(
            'S-20: a registration counts its pins, and is listed while it is registered',
            each(buffers, (number) =>
              all(
                equal(
                  buffer(number).field('pins'),
                  count(requests, (member) => request(member).pins(number)),
                ),
                iff(buffer(number).in('registered'), listed(buffer(number).place)),
                given(buffer(number).in('registered'), less(0, buffer(number).field('references'))),
              ),
            ),
          ),
          always(
            'a closed socket has no registrations',
            each(buffers, (number) =>
              each(sockets, (of) =>
                given(all(listed(buffer(number).place), equal(buffer(number).owner, of)), isOpen(of)),
              ),
            ),
          ),
        ]),
  ];
}
