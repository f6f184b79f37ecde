import { channel, subscribe, unsubscribe, type Channel } from 'node:diagnostics_channel';
import type { Clock } from './clock.js';
import { didYouMean } from './did-you-mean.js';
import { errorText } from './error-text.js';
import type { Log } from './log.js';

/** What every event carries. */
interface Emitted {
  readonly at: Date;
  /** The process in which it happened. */
  readonly workerId: string;
}

/** What events of one saga carry. */
interface OfSaga extends Emitted {
  readonly sagaId: string;
  /** Name of the saga. */
  readonly saga: string;
  readonly correlationId: string;
  /** Of the trace that the saga belongs to; undefined when it was started outside of one. */
  readonly traceId: string | undefined;
}

interface SagaEvent extends OfSaga {
  readonly version: number;
}

interface SagaEndEvent extends SagaEvent {
  /** Since the saga was started. */
  readonly durationMs: number;
  /** Of the error that ended it; undefined for a completed saga. */
  readonly code: string | undefined;
}

interface WorkerEvent extends Emitted {
  /** Sagas that it concerns. */
  readonly sagas: number;
}

interface OutboxBatch extends Emitted {
  readonly destination: string;
  /** Of events. */
  readonly count: number;
}

interface InboxEvent extends Emitted {
  readonly consumer: string;
  readonly messageId: string;
}

interface Stuck {
  readonly code: string;
  /** Steps whose effect may still be there. */
  readonly standing: readonly string[];
}

interface StepEvent extends OfSaga {
  readonly step: string;
  /** 1 for the first. */
  readonly attempt: number;
}

interface AttemptEvent extends StepEvent {
  /** Of this attempt. */
  readonly durationMs: number;
  /** What is known of the effect of the step's action. */
  readonly outcome: 'completed' | 'unknown' | 'failed';
  /** Of the error that was thrown; undefined without one. */
  readonly code: string | undefined;
}

/** Everything that the library tells of itself: the payloads by the names of the events. */
export interface SagazEvents {
  /** A saga was started, and that is durable. */
  'saga.started': SagaEvent;
  /** This process took over a saga that another one, or an earlier start of it, had begun. */
  'saga.resumed': SagaEvent;
  /** A saga waits for a signal or for a time. */
  'saga.waiting': SagaEvent;
  /** Every step is completed. */
  'saga.completed': SagaEndEvent;
  /** A saga turned back: its undos follow. */
  'saga.compensating': SagaEvent;
  /** Everything that had to be undone is undone. */
  'saga.compensated': SagaEndEvent;
  /** At least one undo gave up. Alarm. */
  'saga.failed': SagaEndEvent & Stuck;
  /** A saga can go neither on nor back, and waits for an operator. Alarm. */
  'saga.parked': SagaEndEvent & Stuck;
  /** The saga's time ran out after its pivot, so that it can only go on. Alarm. */
  'saga.overdue': SagaEvent & Stuck;
  /** This process lets go of a saga, because another one owns it or may own it: a write was refused, or would be. */
  'saga.fenced': SagaEvent & { readonly message: string };

  /** Sagas of a version that no living worker can run. Alarm. */
  'saga.stranded': Emitted & {
    /** Name of the saga. */
    readonly saga: string;
    readonly version: number;
    /** How many. */
    readonly sagas: number;
    /** When the oldest of them was started. */
    readonly since: Date;
    /** Why, and what to do. */
    readonly message: string;
  };

  /** The handler of a step is about to be called. */
  'step.started': StepEvent;
  /** The success of a step is durable. */
  'step.completed': AttemptEvent;
  /** A step gave up. */
  'step.failed': AttemptEvent;
  /** An attempt of a step failed, and another one follows. */
  'step.retrying': AttemptEvent;

  /** The success of an undo is durable. */
  'undo.completed': AttemptEvent;
  /** An attempt of an undo failed, and another one follows. */
  'undo.retrying': AttemptEvent;
  /** An undo gave up: its step's effect may still be there. Alarm. */
  'undo.failed': AttemptEvent;
  /** An action settled after its undo, which runs once more with the late result. Alarm. */
  'undo.repeated': AttemptEvent;

  /** A signal for a saga is durable. */
  'signal.received': Emitted & {
    readonly sagaId: string;
    /** Name of the saga. */
    readonly saga: string;
    /** Name of the signal. */
    readonly signal: string;
    /** One of the same id had come before. */
    readonly duplicate: boolean;
  };

  /** This process runs sagas or relays events from now on. */
  'worker.started': Emitted & { readonly runsSagas: boolean; readonly relays: boolean };
  /** It takes nothing more, and lets end what runs. */
  'worker.draining': WorkerEvent;
  /** It has ended. */
  'worker.stopped': WorkerEvent;
  /** Workers were found dead: their processes are gone, or were not heard of for their lease. */
  'worker.dead': Emitted & { readonly dead: readonly string[] };
  /** This process took over sagas of dead workers. */
  'worker.takeover': WorkerEvent;
  /** This process has lost its lease, or was declared dead: it lets go of everything that it runs. */
  'worker.fenced': WorkerEvent & { readonly message: string };

  /** A destination took events of one batch. */
  'outbox.published': OutboxBatch & {
    readonly durationMs: number;
    /** Of each event: from its writing, or from when it was due, to now, by the clocks of two machines. */
    readonly deliveryMs: readonly number[];
  };
  /** It refused some, which will be tried again. */
  'outbox.retrying': OutboxBatch & { readonly reason: string };
  /** An event gave up. Alarm. */
  'outbox.dead-lettered': Emitted & {
    readonly eventId: string;
    readonly type: string;
    readonly destination: string;
    readonly reason: string;
  };
  /** A destination is down: its events wait, and none of them is to blame. Alarm. */
  'outbox.circuit-opened': Emitted & { readonly destination: string; readonly reason: string };
  /** It takes events again, or nothing of this process has waited for it for 10 s. */
  'outbox.circuit-closed': Emitted & { readonly destination: string };

  /** Events were written by this process, and are durable. */
  'outbox.written': OutboxBatch;
  /** This process relays these shards from now on. */
  'outbox.shards-changed': Emitted & { readonly shards: readonly number[] };

  /** So many events of a shard wait behind others that it takes no more. Alarm. */
  'outbox.shard-paused': Emitted & { readonly shard: number };

  /** A consumer has processed a message, and that is durable. */
  'inbox.processed': InboxEvent;
  /** It had processed it before. */
  'inbox.duplicate': InboxEvent;
  /** Its handler failed, and nothing of it was kept. */
  'inbox.failed': InboxEvent & { readonly message: string };
  /** A message is so old that nobody knows whether it was processed. Alarm. */
  'inbox.expired': InboxEvent;

  /** A flush of the journal is durable. */
  'journal.flushed': Emitted & {
    /** Journal entries, and sagas created. */
    readonly entries: number;
    /** About how many. */
    readonly bytes: number;
    readonly durationMs: number;
  };
}

export type SagazEventName = keyof SagazEvents;

/** A record names every event, or it does not compile. */
const EVENTS: Readonly<Record<SagazEventName, true>> = {
  'saga.started': true,
  'saga.resumed': true,
  'saga.waiting': true,
  'saga.completed': true,
  'saga.compensating': true,
  'saga.compensated': true,
  'saga.failed': true,
  'saga.parked': true,
  'saga.overdue': true,
  'saga.fenced': true,
  'saga.stranded': true,
  'step.started': true,
  'step.completed': true,
  'step.failed': true,
  'step.retrying': true,
  'undo.completed': true,
  'undo.retrying': true,
  'undo.failed': true,
  'undo.repeated': true,
  'signal.received': true,
  'worker.started': true,
  'worker.draining': true,
  'worker.stopped': true,
  'worker.dead': true,
  'worker.takeover': true,
  'worker.fenced': true,
  'outbox.published': true,
  'outbox.retrying': true,
  'outbox.dead-lettered': true,
  'outbox.circuit-opened': true,
  'outbox.circuit-closed': true,
  'outbox.written': true,
  'outbox.shards-changed': true,
  'outbox.shard-paused': true,
  'inbox.processed': true,
  'inbox.duplicate': true,
  'inbox.failed': true,
  'inbox.expired': true,
  'journal.flushed': true,
};

export const EVENT_NAMES = Object.keys(EVENTS) as readonly SagazEventName[];

/** Events that somebody has to look at: each is also a log line at error. */
export const ALARMS: readonly SagazEventName[] = [
  'saga.failed',
  'saga.parked',
  'saga.overdue',
  'saga.stranded',
  'undo.failed',
  'undo.repeated',
  'outbox.dead-lettered',
  'outbox.circuit-opened',
  'outbox.shard-paused',
  'inbox.expired',
];

const channelName = (name: SagazEventName) => `nestjs-sagaz:${name}`;

/** What an event says beside where and when it happened. */
export type EventFields<N extends SagazEventName> = Omit<SagazEvents[N], keyof Emitted>;

interface Outlet {
  readonly channel: Channel;
  readonly alarm: boolean;
}

/** Tells what happens in one application, to whoever listens in this process. */
export class Telemetry {
  private readonly outlets: ReadonlyMap<SagazEventName, Outlet>;

  constructor(
    private readonly workerId: string,
    private readonly clock: Clock,
    private readonly log: Log,
  ) {
    this.outlets = new Map(
      EVENT_NAMES.map((name) => [
        name,
        { channel: channel(channelName(name)), alarm: ALARMS.includes(name) },
      ]),
    );
  }

  /**
   * Never throws. An event without a listener costs nothing, unless it is an alarm.
   * @param fields called only when somebody is going to see them
   */
  emit<N extends SagazEventName>(name: N, fields: () => EventFields<N>): void {
    const outlet = this.outlets.get(name);
    if (!outlet || !(outlet.alarm || outlet.channel.hasSubscribers)) return;
    try {
      const said = fields();
      if (outlet.alarm) this.log.error({ msg: `alarm ${name}`, event: name, ...said });
      outlet.channel.publish(
        Object.freeze({ at: new Date(this.clock.now()), workerId: this.workerId, ...said }),
      );
    } catch (error) {
      this.log.error(`telemetry event ${name} could not be made: ${errorText(error)}`);
    }
  }
}

/**
 * Listens to the events of every application in this process, on the channels `nestjs-sagaz:<name>` of
 * `node:diagnostics_channel`. An event carries the `workerId` of the application that it comes from.
 */
export const SagazTelemetry = Object.freeze({
  /**
   * Calls the listener in the moment of each event, and does not wait for its promise. What a listener throws, now or
   * later, changes nothing.
   * @param onError is given what the listener threw; default: a warning of the process
   * @returns a function that ends the subscription
   * @throws TypeError for a name that is no event
   */
  subscribe<N extends SagazEventName>(
    name: N,
    listener: (event: SagazEvents[N]) => unknown,
    onError: (error: unknown) => void = (error) => warn(name, error),
  ): () => void {
    if (!EVENT_NAMES.includes(name))
      throw new TypeError(`there is no event "${name}"${didYouMean(name, EVENT_NAMES)}`);
    // A subscriber that throws would end the process: Node reports it as an uncaught exception.
    const guard = (work: Promise<unknown>) => void work.catch((error: unknown) => warn(name, error));
    const safe = (event: unknown) => {
      try {
        const result: unknown = listener(event as SagazEvents[N]);
        // Most return nothing, and a promise for each would cost more than what they do.
        if (typeof result === 'object' && result !== null) guard(Promise.resolve(result).catch(onError));
      } catch (error) {
        guard(Promise.resolve().then(() => onError(error)));
      }
    };
    subscribe(channelName(name), safe);
    return () => void unsubscribe(channelName(name), safe);
  },
});

function warn(name: string, error: unknown): void {
  process.emitWarning(`a listener to ${name} failed: ${errorText(error)}`, 'SagazTelemetryWarning');
}
