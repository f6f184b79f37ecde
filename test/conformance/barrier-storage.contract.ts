import assert from 'node:assert/strict';
import { uuidV7 } from '../../lib/events/uuid-v7.js';
import type { BarrierCommand, BarrierStorage } from '../../lib/inbox/barrier-storage.js';
import { Deferred } from '../../lib/runtime/deferred.js';
import type { ContractCase } from './saga-storage.contract.js';

export interface BarrierUnderTest {
  readonly barrier: BarrierStorage;
}

const commandOf = (more: Partial<BarrierCommand> = {}): BarrierCommand => ({
  ...{ sagaId: uuidV7(), step: 'reserve', sagaStartedAt: new Date() },
  ...more,
});
const nothing = () => Promise.resolve();

/** So that something is remembered that is older than the sagas of a case. */
async function remember(barrier: BarrierStorage): Promise<void> {
  await barrier.action(commandOf(), nothing);
  await new Promise((resolve) => setTimeout(resolve, 5));
}

/** What every barrier storage must do. Cases share one storage. */
export const barrierStorageContract: readonly ContractCase<BarrierUnderTest>[] = [
  {
    name: 'does and undoes a step once, however often it is asked to',
    async run({ barrier }) {
      const command = commandOf();
      const done: string[] = [];
      const act = () => barrier.action(command, () => Promise.resolve(done.push('action')));
      const undo = () => barrier.undo(command, (_tx, known) => Promise.resolve(done.push(`undo ${known}`)));
      const results = [await act(), await act(), await undo(), await undo(), await act()];
      assert.deepEqual(
        results.map(({ status }) => status),
        ['done', 'duplicate', 'undone', 'duplicate', 'refused'],
      );
      assert.deepEqual(done, ['action', 'undo completed']);
    },
  },
  {
    name: 'refuses an action whose undo came first, and undoes nothing then',
    async run({ barrier }) {
      await remember(barrier);
      const command = commandOf();
      const done: string[] = [];
      const undone = await barrier.undo(command, () => Promise.resolve(done.push('undo')));
      const late = await barrier.action(command, () => Promise.resolve(done.push('action')));
      assert.deepEqual([undone.status, late.status, done], ['nothing', 'refused', []]);
    },
  },
  {
    name: 'undoes what may be there, for a saga that is older than everything that is remembered',
    async run({ barrier }) {
      await remember(barrier);
      const command = commandOf({ sagaStartedAt: new Date(0) });
      const result = await barrier.undo(command, (_tx, known) => Promise.resolve(known));
      assert.deepEqual(result, { status: 'undone', value: 'unknown' });
      assert.equal((await barrier.action(command, nothing)).status, 'refused');
    },
  },
  {
    name: 'keeps nothing of what failed: it is done when it is asked for again',
    async run({ barrier }) {
      const command = commandOf();
      const fails = () => Promise.reject(new Error('no room'));
      await assert.rejects(barrier.action(command, fails), /no room/);
      assert.equal((await barrier.action(command, nothing)).status, 'done');
      await assert.rejects(barrier.undo(command, fails), /no room/);
      assert.equal((await barrier.undo(command, nothing)).status, 'undone');
    },
  },
  {
    name: 'lets an undo wait for an action that is under way, and undoes it then',
    async run({ barrier }) {
      const command = commandOf();
      const gate = new Deferred<void>();
      const done: string[] = [];
      const action = barrier.action(command, async () => {
        await gate.promise;
        done.push('action');
      });
      await new Promise((resolve) => setTimeout(resolve, 20));
      const undo = barrier.undo(command, (_tx, known) => Promise.resolve(done.push(`undo ${known}`)));
      await new Promise((resolve) => setTimeout(resolve, 20));
      gate.resolve();
      assert.deepEqual([(await action).status, (await undo).status], ['done', 'undone']);
      assert.deepEqual(done, ['action', 'undo completed']);
    },
  },
  {
    name: 'keeps the steps of a saga apart, and forgets what is older than it is told',
    async run({ barrier }) {
      const command = commandOf();
      await barrier.action(command, nothing);
      assert.equal((await barrier.action({ ...command, step: 'charge' }, nothing)).status, 'done');
      assert.equal(await barrier.forget(86_400_000, 100), 0);
      await new Promise((resolve) => setTimeout(resolve, 5));
      while ((await barrier.forget(0, 2)) > 0);
      assert.equal((await barrier.action(command, nothing)).status, 'done');
    },
  },
];
