import pg from 'pg';
import { createDatabase } from '../../support/database.js';
import { until } from '../../support/until.js';
import { CALL_TABLE, EFFECT_TABLE } from './ledger.js';
import { violations, type SagaRecord } from './oracle.js';
import { storyOf } from './oracle/story.js';
import { recordsOf, unfinished } from './records.js';
import type { Scenario } from './scenarios.js';
import { WorkerProcess, type WorkerOptions } from './worker-process.js';

/** The databases of a chaos suite and the processes that work on them. */
export class ChaosWorld {
  private readonly scenarios = new Map<string, Scenario>();
  private readonly processes = new Set<WorkerProcess>();

  private constructor(
    readonly url: string,
    readonly ledgerUrl: string,
    private readonly drops: readonly (() => Promise<void>)[],
  ) {}

  /** On databases of their own; the main one may be of a server of the suite's own. */
  static async open(mainUrl?: string): Promise<ChaosWorld> {
    const main =
      mainUrl === undefined ? await createDatabase() : { url: mainUrl, drop: async () => undefined };
    const ledger = await createDatabase();
    const world = new ChaosWorld(main.url, ledger.url, [main.drop, ledger.drop]);
    await world.query(EFFECT_TABLE);
    await world.query(`${EFFECT_TABLE}; ${CALL_TABLE}`, ledger.url);
    return world;
  }

  async start(options: Partial<WorkerOptions> = {}): Promise<WorkerProcess> {
    return this.spawn(options).ready();
  }

  spawn(options: Partial<WorkerOptions> = {}): WorkerProcess {
    const process = new WorkerProcess({ url: this.url, ledgerUrl: this.ledgerUrl, ...options });
    this.processes.add(process);
    return process;
  }

  /** Tells a process to run a scenario. */
  execute(
    process: WorkerProcess,
    id: string,
    scenario: Scenario,
    { pace = 0, key = undefined as string | undefined } = {},
  ): void {
    this.scenarios.set(id, scenario);
    const input = { faults: scenario.faults, pace };
    process.tell({ kind: 'execute', id, shape: scenario.shape, input, ...(key !== undefined && { key }) });
  }

  async allEnded(limitMs = 60_000): Promise<void> {
    await until(async () => (await unfinished(this.url)) === 0, limitMs).catch(() => undefined);
  }

  /** The records of every case. */
  records() {
    return recordsOf(this.url, this.ledgerUrl, (id) => {
      const scenario = this.scenarios.get(id);
      if (!scenario) throw new Error(`nobody knows the case ${id}`);
      return scenario;
    });
  }

  /** What is broken, by case. */
  async violations(): Promise<ReadonlyMap<string, readonly string[]>> {
    const found = [...(await this.records())].map(([id, records]): [string, string[]] => [
      id,
      broken(records),
    ]);
    return new Map(found.filter(([, texts]) => texts.length > 0));
  }

  async query<T extends pg.QueryResultRow>(text: string, url = this.url): Promise<T[]> {
    const client = new pg.Client(url);
    await client.connect();
    try {
      return (await client.query<T>(text)).rows;
    } finally {
      await client.end();
    }
  }

  /** Ends every process and drops the databases. */
  async close(): Promise<void> {
    for (const process of this.processes) process.kill('SIGKILL');
    await Promise.all([...this.processes].map((process) => process.ended()));
    for (const drop of this.drops) await drop();
  }
}

function broken(records: readonly (SagaRecord & { readonly sagaId: string })[]): string[] {
  const texts = records.flatMap((record) =>
    violations(record).map((text) => `${text} (saga ${record.sagaId})\n${storyOf(record)}`),
  );
  return records.length > 1 ? [`I2: one start made ${records.length} sagas`, ...texts] : texts;
}
