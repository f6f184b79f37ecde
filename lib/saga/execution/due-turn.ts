import { retiredError } from '../definition/retired-definition.js';
import type { SagaDefinition } from '../definition/saga-definition.js';
import type { ClaimedSaga } from '../saga-storage.js';
import type { Fact } from './fact.js';
import type { SagaDeadline } from './saga-deadline.js';
import { CANCELLED, turnBack } from './saga-journal.js';

interface Returning {
  readonly saga: ClaimedSaga;
  readonly definition: SagaDefinition;
  /** Since it was claimed. */
  readonly cancelled: boolean;
  readonly deadline: SagaDeadline | undefined;
}

/** The turn back that is due when the run of a saga begins, for what happened while nobody ran it. */
export function dueTurn({ saga, definition, cancelled, deadline }: Returning): Fact | undefined {
  if (saga.cancelRequested || cancelled) return CANCELLED;
  if (definition.draft.retired) return turnBack(retiredError(definition));
  return deadline?.hasPassed ? deadline.turn : undefined;
}
