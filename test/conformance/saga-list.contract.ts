import assert from 'node:assert/strict';
import type { ListQuery } from '../../lib/saga/saga-storage.js';
import { SagaStatus } from '../../lib/saga/state/saga-status.js';
import {
  newSaga,
  unique,
  writeOf,
  type ContractCase,
  type StorageUnderTest,
} from './saga-storage.contract.js';

function queryOf(name: string, overrides: Partial<ListQuery> = {}): ListQuery {
  return {
    statuses: Object.values(SagaStatus),
    name,
    tags: {},
    startedAfter: undefined,
    startedBefore: undefined,
    limit: 10,
    after: undefined,
    ...overrides,
  };
}

/** What lists of sagas must do. */
export const sagaListContract: readonly ContractCase<StorageUnderTest>[] = [
  {
    name: 'lists the newest first, page by page',
    async run({ sagas }) {
      const name = unique('saga');
      const made = [];
      for (let n = 0; n < 5; n++) {
        const saga = newSaga({ name });
        await sagas.create(saga);
        made.unshift(saga.sagaId);
      }
      made.sort().reverse();
      const first = await sagas.list(queryOf(name, { limit: 3 }));
      const second = await sagas.list(queryOf(name, { limit: 3, after: first.at(-1)?.sagaId }));
      assert.deepEqual(
        [first, second].map((page) => page.map(({ sagaId }) => sagaId)),
        [made.slice(0, 3), made.slice(3)],
      );
    },
  },
  {
    name: 'lists by status, tags and time of the start',
    async run({ sagas }) {
      const name = unique('saga');
      const owner = unique('w');
      const [open, done] = [
        newSaga({ name, tags: { shop: 'north', till: '1' } }),
        newSaga({ name, owner, launch: ['a'] }),
      ];
      await sagas.create(open);
      await sagas.create(done);
      await sagas.append(
        writeOf(done, 1, { status: 'failed', end: { results: '{}', error: '{"code":"X"}' } }),
      );
      const ids = async (overrides: Partial<ListQuery>) =>
        (await sagas.list(queryOf(name, overrides))).map(({ sagaId }) => sagaId);
      assert.deepEqual(await ids({ statuses: ['failed', 'parked'] }), [done.sagaId]);
      assert.deepEqual(await ids({ statuses: ['pending'] }), [open.sagaId]);
      assert.deepEqual(await ids({ statuses: [] }), []);
      assert.deepEqual(await ids({ tags: { till: '1' } }), [open.sagaId]);
      assert.deepEqual(await ids({ tags: { till: '2' } }), []);
      const { startedAt } = (await sagas.find(open.sagaId)) ?? { startedAt: new Date() };
      const [before, after] = [new Date(startedAt.getTime() - 5_000), new Date(startedAt.getTime() + 60_000)];
      assert.equal((await ids({ startedAfter: before, startedBefore: after })).length, 2);
      assert.deepEqual(await ids({ startedAfter: after }), []);
      assert.deepEqual(await ids({ startedBefore: before }), []);
    },
  },
  {
    name: 'tells when each entry was written and what the first row launched',
    async run({ sagas }) {
      const saga = newSaga({ owner: unique('w'), launch: ['a'] });
      await sagas.create(saga);
      await sagas.append(writeOf(saga, 1));
      const row = await sagas.find(saga.sagaId);
      const [entry] = await sagas.journal(saga.sagaId);
      assert.deepEqual(row?.launch, ['a']);
      assert.ok(entry?.at && row && entry.at.getTime() >= row.startedAt.getTime() - 1);
    },
  },
];
