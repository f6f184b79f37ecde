import type { Clock } from '../../runtime/clock.js';
import type { Log } from '../../runtime/log.js';
import { PollingLoop } from '../../runtime/polling-loop.js';
import type { Telemetry } from '../../runtime/telemetry.js';
import type { DefinitionData } from '../definition/definition-data.js';
import type { SagaRegistry } from '../definition/saga-registry.js';
import type { SagaStorage, StrandedSagas } from '../saga-storage.js';
import { strandedMessage } from './stranded-message.js';

export interface HousekeeperSettings {
  readonly storage: SagaStorage;
  readonly registry: SagaRegistry;
  readonly clock: Clock;
  readonly log: Log;
  readonly telemetry: Telemetry;
  /** Milliseconds; false keeps sagas for ever. */
  readonly retentionMs: number | false;
  readonly keyRetentionMs: number;
}

const INTERVAL_MS = 30_000;
/** Sagas and keys deleted by one statement: short enough to be in nobody's way. */
const BATCH = 500;
/** An alarm that nobody has answered is repeated. */
const REPEAT_MS = 3_600_000;

/** What one look has found, by definition. */
interface Sighting {
  readonly toldAt: number | undefined;
}

/** Deletes what is past its retention, and looks for sagas that no living worker can run. */
export class Housekeeper {
  private readonly deleting: PollingLoop;
  private readonly looking: PollingLoop;
  private sightings = new Map<string, Sighting>();

  constructor(private readonly settings: HousekeeperSettings) {
    this.deleting = this.every('deleting old sagas', () => this.deleteExpired());
    this.looking = this.every('looking for sagas without a worker', () => this.look());
  }

  start(): void {
    this.deleting.start();
    this.looking.start();
  }

  async stop(): Promise<void> {
    await Promise.all([this.deleting.stop(), this.looking.stop()]);
  }

  private every(name: string, round: () => Promise<boolean>): PollingLoop {
    return new PollingLoop({
      ...this.settings,
      name,
      round,
      interval: INTERVAL_MS,
      maxInterval: INTERVAL_MS,
    });
  }

  private async deleteExpired(): Promise<boolean> {
    const { storage, retentionMs, keyRetentionMs: keysMs } = this.settings;
    const sagasMs = retentionMs === false ? undefined : retentionMs;
    const { sagas, keys } = await storage.deleteExpired({ sagasMs, keysMs, limit: BATCH });
    return sagas === BATCH || keys === BATCH;
  }

  private async look(): Promise<boolean> {
    const before = this.sightings;
    this.sightings = new Map();
    for (const stranded of await this.settings.storage.stranded()) {
      const key = `${stranded.version} ${stranded.hash} ${stranded.name}`;
      this.sightings.set(key, await this.see(stranded, before.get(key)));
    }
    return false;
  }

  /**
   * While processes are being replaced there may be none of a version for a moment; a definition that was changed under
   * its version does not come back by itself.
   */
  private async see(stranded: StrandedSagas, before: Sighting | undefined): Promise<Sighting> {
    const { registry, clock } = this.settings;
    const changed = registry.find(stranded.name, stranded.version) !== undefined;
    if (!before && !changed) return { toldAt: undefined };
    const now = clock.monotonic();
    const toldAt = before?.toldAt ?? -Infinity;
    if (now - toldAt < REPEAT_MS) return { toldAt };
    await this.tell(stranded);
    return { toldAt: now };
  }

  private async tell(stranded: StrandedSagas): Promise<void> {
    const { registry, storage, telemetry } = this.settings;
    const { name: saga, version, count: sagas, since } = stranded;
    const text = await storage.findDefinition(stranded);
    const stored = text === undefined ? [] : (JSON.parse(text) as DefinitionData);
    const message = strandedMessage(stranded, stored, registry.find(saga, version)?.data);
    telemetry.emit('saga.stranded', () => ({ saga, version, sagas, since, message }));
  }
}
