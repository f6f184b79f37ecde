import type { ClaimedSaga } from '../saga-storage.js';
import type { JournalEntry, ResumeRecord } from '../state/journal.js';
import { readyUndos, running } from './decisions.js';
import type { SagaState } from './saga-state.js';

/** From so many deaths in a row on, a saga runs only while no other suspect runs beside it. */
export const SUSPECT_DEATHS = 2;

/**
 * How many processes in a row have died while they ran this saga, without any of it ending in between: perhaps it kills
 * them. A process that died before it began anything of the saga does not count, nor one that let go of it.
 * @param state before this owner noted what the last one lost
 */
export function deathsOf({ journal, launch, epoch, orphaned }: ClaimedSaga, state: SagaState): number {
  const before = deathsBefore(journal);
  if (!orphaned) return before;
  const lastEpoch = journal.at(-1)?.epoch ?? (launch.length > 0 ? 1 : 0);
  const wasActive =
    lastEpoch === epoch - 1 && (running(state).length > 0 || readyUndos(state.definition, state).length > 0);
  return wasActive ? before + 1 : before;
}

/** What the last owner that resumed it had counted, unless something has ended since. */
function deathsBefore(journal: readonly JournalEntry[]): number {
  const last = journal.findLast(({ kind }) => kind !== 'released');
  if (last?.kind !== 'resumed') return 0;
  return (JSON.parse(last.data ?? '{}') as Partial<ResumeRecord>).deaths ?? 0;
}
