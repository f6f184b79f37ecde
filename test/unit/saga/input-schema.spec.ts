import { z } from 'zod';
import { buildDefinition } from '../../../lib/saga/definition/build-definition.js';
import type { SagaDefinition } from '../../../lib/saga/definition/saga-definition.js';
import { SAGA_DEFAULTS } from '../../../lib/saga/definition/saga-options.js';
import type { StandardSchema } from '../../../lib/saga/definition/standard-schema.js';
import { SagaConflictError, SagaInputError } from '../../../lib/saga/state/errors.js';
import { ClassicSaga, type SagaOrchestrator } from '../../../lib/typeorm-alias.js';
import { draftOf, processOf, SagaWorld } from '../../support/saga-world.js';

const order = z.object({
  buyer: z.string().trim(),
  items: z.array(z.object({ quantity: z.number() })).default([]),
});

/** A schema that takes a number, asks somebody, and makes a text of it. */
function asked(answer: (value: unknown) => Promise<string>): StandardSchema<number, string> {
  const validate = async (value: unknown) => ({ value: await answer(value) });
  return { '~standard': { version: 1, vendor: 'test', validate } };
}

/** A schema that finds these issues in everything. */
function refusing(
  issues: readonly { message: string; path?: readonly (PropertyKey | { key: PropertyKey })[] }[],
): StandardSchema {
  return { '~standard': { version: 1, vendor: 'test', validate: () => ({ issues }) } };
}

function orderSaga<I, Given>(input: StandardSchema<Given, I>) {
  return new ClassicSaga('order', { input }).step('echo', { action: (ctx) => ctx.input }).build();
}

function setUp(definition: SagaDefinition<never, unknown>) {
  const world = new SagaWorld();
  const { orchestrator, lease } = processOf(world, definition as SagaDefinition, 'one');
  return { world, lease, orchestrator: orchestrator as unknown as SagaOrchestrator };
}

/** What a call is refused with, after which nothing may be stored. */
async function refusal(definition: SagaDefinition<never, unknown>, input: unknown): Promise<unknown> {
  const { world, orchestrator } = setUp(definition);
  const error = await orchestrator.execute(definition as SagaDefinition, input).catch((it: unknown) => it);
  expect(world.database.sagas.size).toBe(0);
  return error;
}

describe('the schema of an input', () => {
  it('makes what is stored and what the steps see', async () => {
    const definition = orderSaga(order);
    const { orchestrator, lease, world } = setUp(definition);
    await lease.start();
    const result = world.clock.until(orchestrator.execute(definition, { buyer: ' ann ' }));
    await expect(result).resolves.toMatchObject({ results: { echo: { buyer: 'ann', items: [] } } });
    const [row] = world.database.sagas.values();
    expect(JSON.parse(row?.saga.input ?? '')).toEqual({ buyer: 'ann', items: [] });
    await lease.stop(true);
  });

  it('counts an input as the same when it becomes the same', async () => {
    const definition = orderSaga(order);
    const { orchestrator } = setUp(definition);
    const start = (buyer: string) => orchestrator.start(definition, { buyer }, { idempotencyKey: 'k' });
    const { sagaId } = await start('ann');
    await expect(start(' ann ')).resolves.toMatchObject({ sagaId });
    await expect(start('bob')).rejects.toThrow(SagaConflictError);
  });

  it('may take its time', async () => {
    const definition = orderSaga(asked(async (value) => `number ${String(value)}`));
    const { orchestrator, world } = setUp(definition);
    await orchestrator.start(definition, 7);
    expect([...world.database.sagas.values()].map(({ saga }) => saga.input)).toEqual(['"number 7"']);
  });

  it('refuses input with every issue and its path, and stores nothing', async () => {
    const secret = { buyer: 4711, items: [{ quantity: '4711' }] };
    const error = await refusal(orderSaga(order), secret);
    expect(error).toBeInstanceOf(SagaInputError);
    expect(error).toMatchObject({ status: 400, code: 'SAGAZ_INVALID_INPUT' });
    const { message, issues } = error as SagaInputError;
    expect(issues.map(({ path }) => path)).toEqual(['input.buyer', 'input.items.0.quantity']);
    expect(message).toBe(
      `saga "order": ${issues.map((issue) => `${issue.path}: ${issue.message}`).join('; ')}`,
    );
    expect(message).not.toContain('4711');
  });

  it('is told as `input` where it has no path', async () => {
    expect(await refusal(orderSaga(order), 'tea')).toMatchObject({
      message: expect.stringMatching(/^saga "order": input: /) as unknown,
      issues: [{ path: 'input' }],
    });
    expect(await refusal(orderSaga(refusing([])), 'tea')).toMatchObject({
      message: 'saga "order": input: refused by its schema',
      issues: [],
    });
  });

  it('shows ten issues and says how many more there are', async () => {
    const all = Array.from({ length: 13 }, (_, index) => ({ message: 'no', path: [{ key: 'a' }, index] }));
    const error = (await refusal(orderSaga(refusing(all)), 'tea')) as SagaInputError;
    expect(error.issues).toHaveLength(13);
    expect(error.message).toMatch(/^saga "order": input\.a\.0: no; .*input\.a\.9: no; and 3 more$/);
    const ten = (await refusal(orderSaga(refusing(all.slice(0, 10))), 'tea')) as SagaInputError;
    expect(ten.message).toMatch(/input\.a\.9: no$/);
  });

  const closed = new RangeError('the address book is closed');
  it.each<[string, () => Promise<never>]>([
    ['rejects', () => Promise.reject(closed)],
    [
      'throws',
      () => {
        throw closed;
      },
    ],
  ])('that %s itself is passed through, and nothing is stored', async (_how, validate) => {
    const schema: StandardSchema = { '~standard': { version: 1, vendor: 'test', validate } };
    expect(await refusal(orderSaga(schema), 7)).toBe(closed);
  });

  it('leaves what JSON cannot hold to the check that follows', async () => {
    const definition = orderSaga(z.object({ at: z.coerce.bigint() }));
    expect(await refusal(definition, { at: '7' })).toMatchObject({
      message: 'saga "order": input.at: a bigint cannot be stored as JSON',
      issues: [],
    });
  });

  it.each<[string, unknown, string]>([
    ['a class', class Order {}, 'a function'],
    ['another object', { parse: () => 1 }, 'a value of type Object'],
    ['null', null, 'null'],
    ['a schema without a check', { '~standard': { version: 1 } }, 'a value of type Object'],
  ])('is refused at boot when it is %s', (_what, input, got) => {
    const { faults } = buildDefinition({ ...draftOf({ hotel: {} }), input }, SAGA_DEFAULTS);
    expect(faults).toEqual([
      {
        kind: 'INVALID_OPTION',
        message: `Trip.input: expected a schema with "~standard".validate (https://standardschema.dev), got ${got}`,
      },
    ]);
  });
});
