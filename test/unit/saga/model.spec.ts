import fc from 'fast-check';
import { Oracle } from './model/oracle.js';
import { sagaPlan, type SagaPlan } from './model/plan.js';
import { Simulation } from './model/simulation.js';

const RUNS = 600;
/** Runs everything again that a log shows, when it is set to the seed that the log holds. */
const seed = Number(process.env.SAGAZ_SEED ?? Math.floor(Math.random() * 1e9));

/** Ends in an error that tells the story, when the saga did not keep its word. */
async function check(plan: SagaPlan): Promise<string> {
  const outcome = await new Simulation(plan).run();
  const { events, result } = outcome;
  const faults = new Oracle(outcome).faults();
  if (faults.length === 0) return result.status;
  const story = events.map(({ at, what, step, call }) => `${at} ${what} ${step} ${call}`);
  throw new Error([`${result.status}: ${faults.join('; ')}`, ...story].join('\n'));
}

describe('a saga of any shape, whatever its steps do', () => {
  it.each([0, 1, 2, 3])(
    'ends, and keeps what it promises (part %p)',
    async (part) => {
      const counts: Record<string, number> = {};
      const property = fc.asyncProperty(sagaPlan, async (plan) => {
        const status = await check(plan);
        counts[status] = (counts[status] ?? 0) + 1;
      });
      const own = seed + part;
      process.stdout.write(`model test, part ${part}: seed ${own} (SAGAZ_SEED=${seed})\n`);
      await fc.assert(property, { seed: own, numRuns: RUNS });
      expect(Object.keys(counts).sort()).toEqual(['compensated', 'completed', 'failed', 'parked']);
    },
    60_000,
  );
});
