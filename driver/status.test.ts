// Goal: what an adapter says becomes the error that the specification's Annex A.2 and A.3 name, and no other.

import { strict as assert } from 'node:assert';
import { describe, test } from 'vitest';
import { RejectReason, WSA } from '../machines/index.ts';
import { AdapterStatus, CompletionStatus, Opcode } from './adapter/adapter.ts';
import {
  acceptError,
  completionError,
  connectError,
  controlError,
  listenError,
  openError,
  rejectionError,
} from './status.ts';

const every = Object.values(Opcode);

describe('a work request that failed', () => {
  test.each([
    ['localLength', Opcode.receive, 'WSAEMSGSIZE'],
    ['localLength', Opcode.send, 'WSAECONNABORTED'],
    ['remoteAccess', Opcode.send, 'WSAECONNABORTED'],
    ['remoteAccess', Opcode.rdmaWrite, 'WSAEFAULT'],
    ['remoteAccess', Opcode.rdmaRead, 'WSAEFAULT'],
    ['remoteOperation', Opcode.send, 'WSAECONNABORTED'],
    ['remoteOperation', Opcode.rdmaWrite, 'WSAEFAULT'],
  ] as const)('%s of opcode %i is %s', (status, opcode, error) => {
    assert.equal(completionError(CompletionStatus[status], opcode), WSA[error]);
  });

  test.each([
    ['localProtection', 'WSAEFAULT'],
    ['retryExceeded', 'WSAECONNABORTED'],
    ['receiverNotReady', 'WSAECONNABORTED'],
    ['fault', 'WSAECONNABORTED'],
  ] as const)('%s is %s, whatever it was', (status, error) => {
    for (const opcode of every) assert.equal(completionError(CompletionStatus[status], opcode), WSA[error]);
  });
});

describe('a control call that failed', () => {
  const { outOfResources, addressNotAvailable, invalidState, deviceRemoved, networkUnreachable, badMemory } =
    AdapterStatus;

  test('registration', () => {
    assert.equal(controlError(deviceRemoved), WSA.WSAENETDOWN);
    assert.equal(controlError(badMemory), WSA.WSAEFAULT);
    assert.equal(controlError(outOfResources), WSA.WSAENOBUFS);
  });

  test('connect, accept, listen', () => {
    assert.equal(connectError(networkUnreachable), WSA.WSAENETUNREACH);
    assert.equal(acceptError(invalidState), WSA.WSAECONNRESET);
    for (const error of [connectError, acceptError, listenError]) {
      assert.equal(error(deviceRemoved), WSA.WSAENETDOWN);
      assert.equal(error(outOfResources), WSA.WSAENOBUFS);
      assert.equal(error(addressNotAvailable), WSA.WSAENOBUFS);
    }
  });

  test('open', () => {
    assert.equal(openError(deviceRemoved), WSA.WSASYSNOTREADY);
    assert.equal(openError(outOfResources), WSA.WSAEPROVIDERFAILEDINIT);
  });
});

describe('a rejection', () => {
  const NO_SUCH_SERVICE = 8;

  test('by a provider is a refusal, whatever the adapter says', () => {
    for (const reason of [RejectReason.backlogFull, RejectReason.condition]) {
      for (const pureSan of [false, true]) {
        assert.equal(rejectionError(reason, NO_SUCH_SERVICE, pureSan), WSA.WSAECONNREFUSED);
      }
    }
  });

  test('by the adapter is certain only where everybody is reached through the SAN', () => {
    assert.equal(rejectionError(null, NO_SUCH_SERVICE, true), WSA.WSAECONNRESET);
    assert.equal(rejectionError(null, NO_SUCH_SERVICE, false), WSA.WSAETIMEDOUT);
    assert.equal(rejectionError(null, 0, true), WSA.WSAETIMEDOUT);
    assert.equal(rejectionError(0, 0, true), WSA.WSAETIMEDOUT);
  });
});
