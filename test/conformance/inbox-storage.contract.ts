import assert from 'node:assert/strict';
import { uuidV7 } from '../../lib/events/uuid-v7.js';
import type { InboxMessage, InboxResult, InboxStorage } from '../../lib/inbox/inbox-storage.js';
import { Deferred } from '../../lib/runtime/deferred.js';
import type { ContractCase } from './saga-storage.contract.js';

export interface InboxUnderTest {
  readonly inbox: InboxStorage;
}

const WINDOW_MS = 7 * 86_400_000;
const DAY_MS = 86_400_000;
const RULES = { windowMs: WINDOW_MS, processesExpired: false };

const messageOf = (more: Partial<InboxMessage> = {}): InboxMessage => ({
  ...{ consumer: 'billing', messageId: uuidV7(), stamp: new Date() },
  ...more,
});
const ago = (ms: number) => new Date(Date.now() - ms);

/** What every inbox storage must do. Cases share one storage. */
export const inboxStorageContract: readonly ContractCase<InboxUnderTest>[] = [
  {
    name: 'processes a message once for each consumer, however often it comes',
    async run({ inbox }) {
      const message = messageOf();
      const runs: string[] = [];
      const process = (consumer: string) =>
        inbox.process({ ...message, consumer }, RULES, () => Promise.resolve(runs.push(consumer)));
      assert.deepEqual(await process('billing'), { status: 'processed', value: 1 });
      assert.deepEqual(await process('billing'), { status: 'duplicate' });
      assert.deepEqual(await process('mail'), { status: 'processed', value: 2 });
      assert.deepEqual(runs, ['billing', 'mail']);
    },
  },
  {
    name: '(pitfall 28) keeps nothing of a message whose handler failed: it is processed when it comes again',
    async run({ inbox }) {
      const message = messageOf();
      const fails = () => Promise.reject(new Error('no stock'));
      await assert.rejects(inbox.process(message, RULES, fails), /no stock/);
      const again = await inbox.process(message, RULES, () => Promise.resolve('done'));
      assert.deepEqual(again, { status: 'processed', value: 'done' });
    },
  },
  {
    name: '(pitfall 29) does not take the message of one consumer for that of another one',
    async run({ inbox }) {
      const message = messageOf();
      const of = (consumer: string) =>
        inbox.process({ ...message, consumer }, RULES, () => Promise.resolve(consumer));
      const results = await Promise.all(['a', 'b', 'c'].map(of));
      assert.deepEqual(
        results,
        ['a', 'b', 'c'].map((value) => ({ status: 'processed', value })),
      );
    },
  },
  {
    name: 'lets one of several deliveries at once take effect; the others are duplicates or told to come again',
    async run({ inbox }) {
      const message = messageOf();
      const gate = new Deferred<void>();
      let runs = 0;
      const process = () =>
        inbox.process(message, RULES, async () => {
          runs += 1;
          await gate.promise;
        });
      const first = process();
      const others = [process(), process()];
      setTimeout(() => gate.resolve(), 50);
      const results: readonly InboxResult<void>[] = await Promise.all([first, ...others]);
      assert.equal(runs, 1);
      assert.equal(results.filter(({ status }) => status === 'processed').length, 1);
      assert.ok(results.every(({ status }) => ['processed', 'duplicate', 'busy'].includes(status)));
    },
  },
  {
    name: '(pitfall 30) refuses a message that is older than the window, and never one that is younger',
    async run({ inbox }) {
      const at = (age: number) =>
        inbox.process(messageOf({ stamp: ago(age) }), RULES, () => Promise.resolve(age));
      assert.deepEqual(await at(WINDOW_MS + 60_000), { status: 'expired' });
      assert.equal((await at(WINDOW_MS - 60_000)).status, 'processed');
      const old = messageOf({ stamp: ago(2 * WINDOW_MS) });
      const rules = { ...RULES, processesExpired: true };
      const taken = await inbox.process(old, rules, () => Promise.resolve(1));
      assert.equal(taken.status, 'processed');
      const again = await inbox.process(old, RULES, () => Promise.resolve(1));
      assert.equal(again.status, 'duplicate');
    },
  },
  {
    name: '(pitfall 30) forgets messages a day after they would be refused, and none before',
    async run({ inbox }) {
      const note = async (age: number) => {
        const message = messageOf({ stamp: ago(age) });
        await inbox.process(message, RULES, () => Promise.resolve());
        return message;
      };
      const [old, young] = [await note(DAY_MS + 60_000), await note(DAY_MS - 60_000)];
      // As if the window were shorter now.
      const shorter = { ...RULES, windowMs: 0 };
      while ((await inbox.forget(shorter.windowMs, 2)) > 0);
      const status = async (message: InboxMessage) =>
        (await inbox.process(message, shorter, () => Promise.resolve())).status;
      assert.deepEqual([await status(young), await status(old)], ['duplicate', 'expired']);
    },
  },
  {
    name: 'remembers a message that it took though it was older than the window, like any other',
    async run({ inbox }) {
      const rules = { ...RULES, processesExpired: true };
      const message = messageOf({ stamp: ago(3 * WINDOW_MS) });
      const status = async () => (await inbox.process(message, rules, () => Promise.resolve())).status;
      assert.equal(await status(), 'processed');
      while ((await inbox.forget(WINDOW_MS, 2)) > 0);
      assert.equal(await status(), 'duplicate');
    },
  },
  {
    name: 'takes a message without an age for a new one',
    async run({ inbox }) {
      const message = messageOf({ messageId: `foreign ${uuidV7()}`, stamp: undefined });
      const process = () => inbox.process(message, RULES, () => Promise.resolve(1));
      assert.deepEqual([(await process()).status, (await process()).status], ['processed', 'duplicate']);
    },
  },
  {
    name: 'counts the failures of a message for each consumer, and begins anew once it was processed',
    async run({ inbox }) {
      const message = messageOf();
      const fail = (consumer = 'billing') => inbox.fail({ ...message, consumer }, 'no stock');
      assert.deepEqual([await fail(), await fail(), await fail('mail')], [1, 2, 1]);
      await inbox.process(message, RULES, () => Promise.resolve());
      assert.equal(await fail(), 1);
    },
  },
];
