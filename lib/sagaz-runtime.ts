import { OutboxAdmin } from './admin/outbox-admin.js';
import { SagaAdmin } from './admin/saga-admin.js';
import type { MessageBroker } from './brokers/message-broker.js';
import { tellWritten } from './events/tell-written.js';
import { InboxConsumers } from './inbox/inbox-consumers.js';
import { InboxKeeper } from './inbox/inbox-keeper.js';
import type { Observed } from './observability/observed.js';
import type { ResolvedOptions } from './options/resolve-options.js';
import { OutboxKeeper } from './outbox/outbox-keeper.js';
import type { OutboxNumbers } from './outbox/outbox-storage.js';
import { OutboxRetries } from './outbox/outbox-retries.js';
import { OutboxWorker } from './outbox/outbox-worker.js';
import { Standby } from './outbox/standby.js';
import { Suspicions } from './outbox/suspicions.js';
import { Publisher } from './outbox/publisher.js';
import type { Persistence } from './persistence/persistence.js';
import type { Clock } from './runtime/clock.js';
import { noProbe, type DebugProbe } from './runtime/debug-points.js';
import { errorText } from './runtime/error-text.js';
import { harmless, type Log } from './runtime/log.js';
import { Telemetry } from './runtime/telemetry.js';
import { Tracing } from './runtime/tracing.js';
import { within } from './runtime/within.js';
import { SagaRegistry } from './saga/definition/saga-registry.js';
import { SagaExecutor } from './saga/execution/saga-executor.js';
import { SagaCensus } from './saga/recovery/saga-census.js';
import { Housekeeper } from './saga/recovery/housekeeper.js';
import { SagaWorker } from './saga/recovery/saga-worker.js';
import type { SagaNumbers, StrandedSagas } from './saga/saga-storage.js';
import { BrokerUnavailableError } from './saga/state/errors.js';
import type { SagaVersion } from './saga/state/saga-version.js';
import { WorkerLease } from './saga/recovery/worker-lease.js';
import { ConsumerInbox, Outbox, SagaBarrier, SagaOrchestrator, type EntityManager } from './typeorm-alias.js';

export interface RuntimeSettings {
  readonly options: ResolvedOptions;
  readonly persistence: Persistence<EntityManager>;
  readonly clock: Clock;
  readonly log: Log;
  /** For tests that crash a process at a given moment. Default: none. */
  readonly reach?: DebugProbe;
}

/** For messages that are being processed, when the limit of a shutdown has run out. */
const LEAST_WAIT_MS = 1_000;

/** The parts of the library in one application, put together, and the order in which they start and stop. */
export class SagazRuntime implements Observed {
  readonly registry: SagaRegistry;
  readonly orchestrator: SagaOrchestrator;
  readonly outbox: Outbox;
  readonly sagaAdmin: SagaAdmin;
  readonly outboxAdmin: OutboxAdmin;
  readonly inbox: ConsumerInbox;
  readonly consumers = new InboxConsumers();
  readonly barrier: SagaBarrier;
  readonly relay: OutboxWorker;
  readonly telemetry: Telemetry;
  readonly tracing = new Tracing();
  private readonly lease: WorkerLease;
  private readonly executor: SagaExecutor;
  private readonly sagaWorker: SagaWorker;
  private readonly housekeeper: Housekeeper;
  private readonly keeper: OutboxKeeper;
  private readonly census: SagaCensus;
  private readonly inboxKeeper: InboxKeeper;
  private stillRunning = 0;
  /** By the monotonic clock. */
  private drainEnds = 0;
  private endSignal: (() => void) | undefined;

  constructor(private readonly settings: RuntimeSettings) {
    const { options, persistence, clock, reach = noProbe } = settings;
    const log = harmless(settings.log);
    const { worker, events, payload } = options;
    this.registry = new SagaRegistry(options.sagas);
    this.telemetry = new Telemetry(worker.id, clock, log);
    const { registry, telemetry, tracing } = this;
    const common = {
      clock,
      log,
      registry,
      telemetry,
      tracing,
      leaseMs: worker.lease,
      storage: persistence.sagas,
    };
    this.lease = new WorkerLease({
      ...{ ...common, id: worker.id, workers: persistence.workers },
      definitions: () => (worker.sagas ? registry.versions() : []),
      lost: (reason) => this.fenced(reason),
      found: (dead) => this.foundDead(dead),
    });
    const identity = this.lease;
    this.relay = this.makeRelay(log);
    const limits = { maxSagas: worker.maxSagas, maxResultBytes: payload.maxBytes };
    const wake = () => this.sagaWorker.wake();
    this.executor = new SagaExecutor({
      ...{ ...common, ...limits, identity, events, reach, maxClaims: options.sagas.maxClaims },
      wakeRelay: (written) => {
        persistence.signal.tell();
        tellWritten(telemetry, written);
      },
      wakeClaims: wake,
    });
    const { executor } = this;
    this.sagaWorker = new SagaWorker({ ...common, identity, executor });
    this.orchestrator = new SagaOrchestrator({
      ...{ ...common, identity, executor, maxInputBytes: payload.maxBytes, wake },
      claimAwaited: (sagaId) => this.sagaWorker.claimAwaited(sagaId),
    });
    const { retention: retentionMs, keyRetention: keyRetentionMs } = options.sagas;
    this.housekeeper = new Housekeeper({ ...common, retentionMs, keyRetentionMs });
    this.sagaAdmin = this.makeSagaAdmin();
    this.outboxAdmin = new OutboxAdmin(persistence);
    const leads = async () => (await persistence.workers.first()) === identity.id;
    this.keeper = new OutboxKeeper({ clock, log, leads, storage: persistence.outbox });
    this.census = new SagaCensus({ ...common, leads });
    this.inbox = this.makeInbox();
    this.barrier = new SagaBarrier(persistence.barrier);
    const { window: windowMs, barrierRetention: barrierRetentionMs } = options.inbox;
    const { inbox: messages, barrier } = persistence;
    this.inboxKeeper = new InboxKeeper({
      ...{ clock, log, windowMs, barrierRetentionMs, inbox: messages, barrier },
    });
    const { resolveManager } = options;
    this.outbox = new Outbox({ storage: persistence.outbox, rules: events, tracing, resolveManager });
  }

  private makeInbox(): ConsumerInbox {
    const { options, persistence } = this.settings;
    const { telemetry, tracing } = this;
    const { window: windowMs, onExpired, maxDeliveries } = options.inbox;
    const settings = { telemetry, tracing, windowMs, onExpired, maxDeliveries };
    return new ConsumerInbox({ ...settings, storage: persistence.inbox });
  }

  private makeSagaAdmin(): SagaAdmin {
    const { registry, executor, sagaWorker } = this;
    const { sagas: storage, interventions } = this.persistence;
    return new SagaAdmin({
      ...{ storage, interventions, registry },
      taken: (held) => {
        executor.takenFrom(held);
        sagaWorker.wake();
      },
      cancelled: async (sagaId) => {
        await executor.cancel(sagaId);
        sagaWorker.wake();
      },
    });
  }

  private makeRelay(log: Log): OutboxWorker {
    const { options, persistence, clock } = this.settings;
    const { destinations, outbox, worker } = options;
    const { telemetry, tracing, lease: identity } = this;
    const retries = new OutboxRetries({
      ...{ clock, telemetry, identity, storage: persistence.retries, policy: outbox.retry },
      ...{ onPoison: outbox.onPoison, strict: outbox.order === 'strict' },
    });
    const { batchSize } = outbox;
    const suspicions = new Suspicions({
      ...{ batchSize, identity, storage: persistence.suspects },
      bury: (events, reason) => retries.bury(events.map((event) => ({ event, reason }))),
    });
    const duty = { leave: () => identity.stepAside(), resume: () => identity.setRelays(true) };
    return new OutboxWorker({
      standby: new Standby({ duty, clock, log }),
      ...{
        clock,
        log,
        telemetry,
        tracing,
        retries,
        suspicions,
        identity,
        batchSize,
        leaseMs: worker.lease,
        storage: persistence.outbox,
      },
      publisher: new Publisher(destinations, outbox.publishTimeout, clock),
      strict: outbox.order === 'strict',
      pollIntervalMs: outbox.pollInterval,
      maxPollIntervalMs: outbox.maxPollInterval,
    });
  }

  get workerId(): string {
    return this.settings.options.worker.id;
  }

  get destinations(): readonly string[] {
    return [...this.settings.options.destinations.keys()];
  }

  get running(): ReadonlyMap<string, number> {
    return this.executor.running;
  }

  get outboxNumbers(): OutboxNumbers | undefined {
    return this.keeper.numbers;
  }

  get sagaNumbers(): SagaNumbers | undefined {
    return this.census.numbers;
  }

  get stranded(): readonly StrandedSagas[] | undefined {
    return this.census.stranded;
  }

  checkStorage(): Promise<void> {
    return this.persistence.check();
  }

  async pingDestination(name: string): Promise<void> {
    await this.settings.options.destinations.get(name)?.ping();
  }

  get persistence(): Persistence<EntityManager> {
    return this.settings.persistence;
  }

  /** The one events go to that name no destination. */
  get defaultBroker(): MessageBroker | undefined {
    return this.settings.options.destinations.get('default');
  }

  /** Connects and makes this process known. From then on sagas that are started here also run here. */
  async open(): Promise<void> {
    const { options, persistence } = this.settings;
    await persistence.open(this.telemetry);
    if (!this.works) return;
    if (persistence.workers.sight === undefined) this.settings.log.warn(noSight(options.worker.lease));
    await this.lease.start();
    if (options.worker.sagas) this.executor.start();
  }

  /** Takes up what others left, and relays. */
  async begin(): Promise<void> {
    const { worker, destinations } = this.settings.options;
    if (worker.outbox) {
      await Promise.all([...destinations].map(([name, broker]) => this.connect(name, broker)));
      await this.lease.setRelays(true);
      this.relay.start();
      this.endSignal = this.settings.persistence.signal.listen(() => this.relay.wake());
    }
    if (worker.sagas) {
      this.sagaWorker.start();
      this.housekeeper.start();
    }
    this.inboxKeeper.start();
    if (this.works) {
      this.keeper.start();
      this.census.start();
    }
    const role = { runsSagas: worker.sagas, relays: worker.outbox };
    if (this.works) this.telemetry.emit('worker.started', () => role);
  }

  /** A broker that is down is no reason not to start: events wait for it. One that refuses us is. */
  private async connect(name: string, broker: MessageBroker): Promise<void> {
    try {
      await broker.connect();
    } catch (error) {
      if (!(error instanceof BrokerUnavailableError) || error.refused) throw error;
      this.settings.log.warn(`destination "${name}": ${error.message}; its events wait until it is there`);
    }
  }

  /** Stops claiming and lets what runs end, all within `shutdownTimeout`. Waits for results end too. */
  async drain(): Promise<void> {
    const { options, clock, log } = this.settings;
    this.drainEnds = clock.monotonic() + options.shutdownTimeout;
    if (this.works) this.telemetry.emit('worker.draining', () => ({ sagas: this.executor.held.length }));
    const relayed = this.stopRelay().catch((error: unknown) =>
      log.warn(`giving back shards: ${errorText(error)}`),
    );
    // Both parts share the limit: its time runs from here.
    const relayEnded = within(clock, options.shutdownTimeout, relayed);
    const swept = within(
      clock,
      options.shutdownTimeout,
      Promise.all([this.housekeeper, this.keeper, this.census, this.inboxKeeper].map((it) => it.stop())),
    );
    this.stillRunning = await this.sagaWorker.stop(options.shutdownTimeout);
    this.orchestrator.close();
    await Promise.all([relayEnded, swept]);
    if (this.stillRunning > 0) {
      log.warn(
        `${this.stillRunning} sagas did not let go in time; others take them over when the lease has run out`,
      );
    }
  }

  private async stopRelay(): Promise<void> {
    this.endSignal?.();
    await this.relay.stop();
    if (this.works) await this.lease.setRelays(false);
  }

  /** Closes our own connections. */
  async close(): Promise<void> {
    const { persistence, options, log } = this.settings;
    const steps = [
      () => this.messagesDone(),
      () => (this.works ? this.lease.stop(this.stillRunning === 0) : Promise.resolve()),
      // Who does not relay may have asked whether they are there.
      ...[...options.destinations.values()].map((broker) => () => broker.close()),
      () => persistence.close(),
    ];
    for (const step of steps)
      await step().catch((error: unknown) => log.warn(`while closing: ${errorText(error)}`));
    if (this.works) this.telemetry.emit('worker.stopped', () => ({ sagas: this.stillRunning }));
  }

  /** Transports are closed now, some of them without waiting for their handlers: the database must. */
  private async messagesDone(): Promise<void> {
    const { options, clock, log } = this.settings;
    const left = Math.max(LEAST_WAIT_MS, this.drainEnds - clock.monotonic());
    if (await within(clock, left, this.inbox.settled())) return;
    log.warn(`messages are still being processed after ${options.shutdownTimeout} ms; they come again`);
  }

  /** What is in use, for the start-up line. */
  describe(): string {
    const { options, persistence } = this.settings;
    const { worker } = options;
    const brokers = [...options.destinations].map(([name, { kind }]) => `${name}=${kind}`).join(' ');
    const work = [...(worker.sagas ? ['sagas'] : []), ...(worker.outbox ? ['events'] : [])].join(' and ');
    const sagas = this.registry.versions().map((saga) => this.nameOf(saga));
    const { sight } = persistence.workers;
    const takeover = sight === undefined ? `after the lease (${worker.lease} ms)` : `by ${sight}`;
    return [
      `storage ${persistence.description}`,
      `takeover ${takeover}`,
      `brokers ${brokers}`,
      `relay ${worker.outbox ? (options.outbox.notify ? 'notify and poll' : 'poll') : 'off'}`,
      work === '' ? 'no worker' : `worker ${worker.id} (${work})`,
      `sagas ${sagas.join(', ') || 'none'}`,
    ].join(' | ');
  }

  private nameOf(saga: SagaVersion): string {
    return `${saga.name} v${saga.version}${this.registry.isRetired(saga) ? ' (retired)' : ''}`;
  }

  /** Others may run what this process ran. */
  private fenced(reason: Error): void {
    const sagas = this.executor.abandon(reason);
    this.telemetry.emit('worker.fenced', () => ({ sagas, message: reason.message }));
  }

  private foundDead(dead: readonly string[]): void {
    this.telemetry.emit('worker.dead', () => ({ dead }));
    this.sagaWorker.wake();
    this.relay.wake();
  }

  private get works(): boolean {
    const { sagas, outbox } = this.settings.options.worker;
    return sagas || outbox;
  }
}

function noSight(leaseMs: number): string {
  return (
    'a connection pooler hides the sessions of the database: a process that dies is noticed only when its lease ' +
    `has run out (${leaseMs} ms), and statements are planned anew each time; connect to PostgreSQL itself, or use ` +
    "the pooler's session mode, to have it noticed within a second"
  );
}
