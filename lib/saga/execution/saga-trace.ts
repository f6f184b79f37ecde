import { spanning, Tracing, type OpenSpan, type TraceHeaders } from '../../runtime/tracing.js';
import type { ClaimedSaga } from '../saga-storage.js';
import type { Failure } from './attempt.js';
import type { SagaState } from './saga-state.js';
import type { StepJob } from './step-job.js';

/** Resolves with what an attempt failed with. */
type Work = () => Promise<Failure | undefined>;

/** The spans of one saga in this process: one for its run, and under it one for each attempt. */
export class SagaTrace {
  private span: OpenSpan | undefined;

  constructor(
    private readonly saga: ClaimedSaga,
    private readonly tracing = new Tracing(),
  ) {}

  /** @param begun the span of its start; without it this run goes on with what another one began */
  begin(begun: OpenSpan | undefined): void {
    this.span = begun ?? this.goOn();
  }

  private goOn(): OpenSpan {
    const { headers: parent, name, epoch } = this.saga;
    const attributes = { 'sagaz.saga.epoch': epoch, ...sagaAttributes(this.saga) };
    return this.tracing.begin({ name: `saga ${name}`, parent, continues: true, attributes });
  }

  end({ status, failure }: SagaState, error?: unknown): void {
    const stuck = status === 'failed' || status === 'parked';
    this.span?.end(error ?? (stuck ? failure : undefined));
  }

  /** One attempt, with what makes it durable. */
  attempt({ mode, step }: StepJob, number: number, work: Work): ReturnType<Work> {
    const { span } = this;
    // What a handler calls must know that its trace is not recorded, too.
    if (!span?.recorded) return span ? span.run(work) : work();
    const name = `${mode === 'undo' ? 'undo' : 'step'} ${step.name}`;
    const attributes = {
      'sagaz.step.name': step.name,
      'sagaz.step.attempt': number,
      ...sagaAttributes(this.saga),
    };
    return spanning(span.child({ name, attributes }), work, (failure) => failure?.thrown);
  }

  /** Of the span that is active: for events. */
  active(): TraceHeaders {
    return this.tracing.active();
  }
}

export function sagaAttributes({ sagaId, name, version }: Pick<ClaimedSaga, 'sagaId' | 'name' | 'version'>) {
  return { 'sagaz.saga.id': sagaId, 'sagaz.saga.name': name, 'sagaz.saga.version': version };
}
