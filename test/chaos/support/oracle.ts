import * as effects from './oracle/effects.js';
import * as fences from './oracle/fences.js';
import * as order from './oracle/order.js';
import * as outcome from './oracle/outcome.js';
import type { Rule, SagaRecord } from './oracle/saga-record.js';

export type { JournalRow, SagaRecord } from './oracle/saga-record.js';

const RULES: readonly Rule[] = [
  ...[outcome.terminal, outcome.completed, outcome.undone, outcome.standing, outcome.needless, outcome.pivot],
  ...[
    effects.keys,
    effects.transactional,
    effects.completions,
    effects.launches,
    effects.calls,
    effects.events,
  ],
  ...[order.forward, order.order, order.waits, fences.gaps, fences.epochs],
];

/** What the record breaks of the invariants of a saga, in words; none when all hold. Owes nothing to the engine. */
export function violations(record: SagaRecord): string[] {
  return RULES.flatMap((rule) => rule(record));
}
