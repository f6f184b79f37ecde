/* Compiled by `tsc --noEmit`, never run: what users write where `exactOptionalPropertyTypes` is on. */
import {
  InMemoryBroker,
  MessageBroker,
  NonRetryableError,
  SagaStatus,
  SagazError,
  SagazModule,
  StepStatus,
  type Duration,
  type Outbox,
  type OutboxEventInput,
  type PublishItem,
  type PublishOutcome,
  type SagaContext,
  type SagazModuleOptions,
  type SagazOptionsFactory,
} from '../../lib/index.js';

export const durations: readonly Duration[] = [0, 250, '250ms', '5s', '1.5m', '1h', '7d'];
// @ts-expect-error a unit that does not exist
export const weeks: Duration = '2w';
// @ts-expect-error the order is number, unit
export const reversed: Duration = 's5';

/** A value that may be missing, as it comes from a configuration service. */
export function fromConfiguration(lease: Duration | undefined, id: string | undefined): SagazModuleOptions {
  return {
    storage: 'memory',
    broker: undefined,
    brokers: { audit: new InMemoryBroker() },
    routes: [{ type: 'order.*', to: ['default', 'audit'] }],
    worker: { lease, id, maxSagas: undefined },
    sagas: {
      retry: { maxAttempts: 3, retryIf: (error) => error instanceof SagazError },
      concurrency: undefined,
    },
    outbox: { batchSize: undefined },
    shutdownTimeout: undefined,
  };
}

export const modules = [
  SagazModule.forRoot(),
  SagazModule.forRoot({ worker: false, isGlobal: false }),
  SagazModule.forRootAsync({ dataSource: 'orders', useFactory: () => ({ storage: 'typeorm' as const }) }),
  // @ts-expect-error one of two storages
  SagazModule.forRoot({ storage: 'redis' }),
  // @ts-expect-error an option that does not exist
  SagazModule.forRoot({ brokr: new InMemoryBroker() }),
  // @ts-expect-error a broker is an object, not a URL
  SagazModule.forRoot({ broker: 'amqp://localhost' }),
  // @ts-expect-error true is not an option of worker
  SagazModule.forRoot({ worker: true }),
];

export class Settings implements SagazOptionsFactory {
  createSagazOptions(): SagazModuleOptions {
    return { payload: { maxBytes: 1 } };
  }
}

export class PaperBroker extends MessageBroker {
  readonly kind = 'paper';
  connect = () => Promise.resolve();
  ping = () => Promise.resolve();
  close = () => Promise.resolve();

  publish(batch: readonly PublishItem[], signal: AbortSignal): Promise<readonly PublishOutcome[]> {
    return Promise.resolve(
      batch.map(() => (signal.aborted ? { status: 'retryable', reason: 'too late' } : { status: 'ok' })),
    );
  }
}

// @ts-expect-error an outcome that is not ok says why
export const outcome: PublishOutcome = { status: 'rejected' };

export async function publish(outbox: Outbox, manager: SagaContext['manager']): Promise<readonly string[]> {
  const event: OutboxEventInput = { type: 'order.placed', key: undefined, destination: ['default', 'audit'] };
  await outbox.publish(event);
  await outbox.publish([event, event]);
  // @ts-expect-error an event has a type
  await outbox.publish({ payload: 1 });
  // @ts-expect-error headers are texts
  await outbox.publish(manager, { type: 'a', headers: { retries: 1 } });
  // @ts-expect-error the manager comes first
  await outbox.publish(event, manager);
  return outbox.transaction((tx) => outbox.publish(tx, event));
}

export function errors(error: unknown): string {
  if (error instanceof NonRetryableError) return error.code;
  if (error instanceof SagazError) return error.code;
  return new NonRetryableError('card stolen', { cause: error }).message;
}

export const ended: SagaStatus[] = [
  SagaStatus.COMPLETED,
  'compensated',
  SagaStatus.FAILED,
  SagaStatus.PARKED,
];
// @ts-expect-error statuses are lower case
export const loud: SagaStatus = 'COMPLETED';
export const undone: StepStatus = StepStatus.COMPENSATED;
