// Goal: `wsdirect check --mutate` judges what is named and keeps its verdicts.

import { strict as assert } from 'node:assert';
import { describe, test } from 'vitest';
import { Exit, type Terminal, UserError } from '../../driver/cli/command.ts';
import { machineNames } from '../../machines/index.ts';
import { judgeMutants } from '../mutation/run.ts';
import { checkMutants, selectMutants } from './mutation.ts';

/** One that the compiler refuses, which is found at once. */
const refused = 'socket listening: spi.rdmaWrite #0: effect dropped (answer)';

async function check(names: readonly string[], json = false): Promise<{ code: number; text: string }> {
  let text = '';
  const terminal: Terminal = {
    write: (part) => {
      text += part;
    },
    report: () => {},
    interrupted: new AbortController().signal,
  };
  const code = await checkMutants(terminal, names, { workers: 1, json });
  return { code, text };
}

describe('mutants are chosen', () => {
  test('all, by machine, by a part of their names', () => {
    const all = selectMutants([]);
    const provider = selectMutants(['provider']);
    assert.ok(provider.length > 0 && provider.every(({ machine }) => machine === 'provider'));
    assert.equal(selectMutants(machineNames).length, all.length);
    assert.deepEqual(
      selectMutants([refused]).map(({ name }) => name),
      [refused],
    );
  });

  test('a name that is nobody’s is refused, with what there is', () => {
    assert.throws(
      () => selectMutants(['provider', 'sorcery']),
      (error) => error instanceof UserError && /'sorcery'.*\n {2}provider\n/.test(error.message),
    );
  });
});

describe('mutants are judged', () => {
  test('with a score, and exit code 0 when it is as high as it is to be', async () => {
    const { code, text } = await check([refused]);
    assert.equal(code, Exit.ok);
    assert.match(text, /^socket +100\.0 % 100\.0 % +1 +0 +0 +0 +0 +0 +0 +0$/m);
    assert.match(text, /^1 of 1 mutants, judged at these sources in \d+ worlds: /m);
  });

  test('once: who is interrupted goes on where it was', async () => {
    await check([refused]);
    const told: string[] = [];
    const verdicts = await judgeMutants({
      workers: 1,
      wanted: ({ name }) => name === refused,
      onVerdict: ({ mutant }) => told.push(mutant),
    });
    assert.deepEqual(told, []);
    assert.deepEqual(
      verdicts.map(({ mutant, by }) => [mutant, by]),
      [[refused, 'compiler']],
    );
  });

  test('as JSON', async () => {
    const { total, verdicts } = JSON.parse((await check([refused], true)).text) as {
      total: Record<string, number>;
      verdicts: { mutant: string; what: string }[];
    };
    assert.deepEqual(total, { compiler: 1 });
    assert.equal(verdicts[0]!.mutant, refused);
    assert.match(verdicts[0]!.what, /spi\.rdmaWrite/);
  });
});
