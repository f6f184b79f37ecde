import { SuspectStorage, type SuspectShard } from '../../outbox/suspect-storage.js';

/** What memory holds does not outlive its process, and so nobody ever asks what killed it. */
export class MemorySuspectStorage extends SuspectStorage {
  suspects(): Promise<readonly SuspectShard[]> {
    return Promise.resolve([]);
  }

  accuse(): Promise<void> {
    return Promise.resolve();
  }

  accuseAlone(): Promise<number> {
    return Promise.resolve(1);
  }

  acquit(): Promise<void> {
    return Promise.resolve();
  }
}
