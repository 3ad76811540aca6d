/**
 * What the way into the shim costs: a batch of receives posted and polled again, against a call that does nothing.
 *
 * Runs over native/test/fake.c, so the library's path has to be set: `main.ts` does. The receives are those of a queue pair
 * in error, and come back at once. Prints nanoseconds, as JSON.
 */

import { Opcode, WORK_REQUEST_WORDS, WorkRequestField as F } from '../../../driver/adapter/adapter.ts';
import { loadShim, Shared } from '../../../driver/adapter/verbs/bindings.ts';
import { findLibrary } from '../../../driver/adapter/verbs/library.ts';

const found = findLibrary();
if ('reason' in found) throw new Error(found.reason);
const shim = loadShim(found.file);
const must = (status: number): void => {
  if (status < 0) throw new Error(`-errno ${status}`);
};
const out = new BigUint64Array(1);
const made = (status: number): number => {
  must(status);
  return Number(out[0]);
};
must(shim.wsd_load());
const adapter = made(shim.wsd_adapter_open(out));
const shared = new Shared(shim.wsd_adapter_shared(adapter));
const id = made(shim.wsd_id_create(adapter, out));
shared.address = { family: 'IPv4', address: '10.0.0.1', port: 0 };
must(shim.wsd_id_bind(adapter, id, 0));
const device = made(shim.wsd_device_open(adapter, id, out));
const domain = made(shim.wsd_pd_alloc(device, out));
const queue = made(shim.wsd_cq_create(device, 512, 0, out));
shared.setQueues(1, 256, 1, 0);
must(shim.wsd_qp_create(adapter, id, domain, queue, 0));
must(shim.wsd_qp_fail(id));
for (let index = 0; index < 256; index++) {
  shared.workRequests[index * WORK_REQUEST_WORDS + F.opcode] = Opcode.receive;
  shared.workRequests[index * WORK_REQUEST_WORDS + F.elementCount] = 1;
}

/** Nanoseconds of `call`: the tenth percentile of batches, since what else runs only adds to it. */
function cost(call: () => void, perBatch: number): number {
  const samples: number[] = [];
  for (let sample = 0; sample < 60; sample++) {
    const began = process.hrtime.bigint();
    for (let count = 0; count < perBatch; count++) call();
    samples.push(Number(process.hrtime.bigint() - began) / perBatch);
  }
  return samples.toSorted((a, b) => a - b)[6]!;
}

const nothing = cost(() => shim.wsd_null(), 20_000);
const batches = [1, 16, 256].map((size) => ({
  size,
  ns: cost(
    () => {
      shim.wsd_post(adapter, size);
      shim.wsd_poll(adapter);
    },
    Math.ceil(20_000 / size),
  ),
}));
console.log(JSON.stringify({ nothing, batches }));
