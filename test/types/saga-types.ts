/*
 * Compiled by `tsc --noEmit`, never run. A program that must be refused stands under @ts-expect-error: when the
 * compiler begins to accept it, that line is an error itself.
 */
import { z } from 'zod';
import {
  ClassicSaga,
  Compensate,
  Saga,
  SagaStep,
  SagazModule,
  type CompensationContext,
  type InputOf,
  type ProbeContext,
  type ProbeResult,
  type ResultsOf,
  type SagaContext,
  type SagaDefinition,
  type SagaOrchestrator,
  type SagaResult,
  type StandardSchema,
} from '../../lib/index.js';

type Equal<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;

/** Compiles only for `true`. */
function holds<T extends true>(): T | undefined {
  return undefined;
}

interface Trip {
  readonly traveller: string;
  readonly nights: number;
}

interface Room {
  readonly number: number;
}

@Saga({ name: 'trip', version: 3, stepTimeout: '10s', retry: 5, compensationRetry: false, strict: true })
export class TripSaga {
  @SagaStep({ transactional: true, retry: { maxAttempts: 2, jitter: 'none' } })
  async hotel(ctx: SagaContext<Trip>): Promise<Room> {
    const id: string = await ctx.publish({ type: 'hotel.booked', key: ctx.input.traveller });
    await ctx.manager.query('SELECT $1', [id]);
    return { number: ctx.input.nights };
  }

  @Compensate('hotel', { timeout: '1m', retry: 20 })
  leave(ctx: CompensationContext<Trip, Room>) {
    holds<Equal<typeof ctx.result, Room | undefined>>();
    holds<Equal<typeof ctx.outcome, 'completed' | 'unknown' | 'failed'>>();
    holds<Equal<typeof ctx.phase, 'undo'>>();
    // @ts-expect-error the result may not be known
    return ctx.result.number;
  }

  @SagaStep({
    dependsOn: ['hotel'],
    compensateOn: 'always',
    noEffectOn: (error) => error instanceof RangeError,
  })
  flight(ctx: SagaContext<Trip, { hotel: Room }>) {
    holds<Equal<typeof ctx.results.hotel, Room | undefined>>();
    // @ts-expect-error an earlier result is possibly undefined
    void ctx.results.hotel.number;
    // @ts-expect-error the input is not to be changed
    ctx.input.nights = 2;
    return { seat: '1A', near: ctx.results.hotel?.number };
  }

  @Compensate('flight')
  async land(ctx: CompensationContext<Trip, { seat: string; near: number | undefined }>) {
    await ctx.publish({ type: 'flight.cancelled', payload: ctx.result?.seat });
  }

  @SagaStep({ dependsOn: ['flight', 'hotel'], pivot: true })
  pay(_ctx: SagaContext<Trip>): number {
    return 1;
  }

  /** A method without a context is no step of the map, nor is one with a context of its own. */
  helper(text: string): string {
    return text;
  }

  readonly currency = 'NOK';

  // @ts-expect-error there is no step "hotle"
  @SagaStep({ dependsOn: ['hotle'] })
  misspelt(_ctx: SagaContext<Trip>) {
    return 1;
  }

  // @ts-expect-error a property is no step
  @SagaStep({ dependsOn: ['currency'] })
  afterProperty(_ctx: SagaContext<Trip>) {
    return 1;
  }

  // @ts-expect-error there is no step "paid"
  @Compensate('paid')
  nothing(_ctx: CompensationContext<Trip>) {
    return undefined;
  }

  // @ts-expect-error the step "pay" returns a number
  @Compensate('pay')
  wrongResult(_ctx: CompensationContext<Trip, Room>) {
    return undefined;
  }

  // @ts-expect-error an undo takes the context of an undo
  @Compensate('hotel')
  wrongContext(_ctx: SagaContext<Trip>) {
    return undefined;
  }

  // @ts-expect-error a step takes the context of an action
  @SagaStep()
  undoAsStep(_ctx: CompensationContext<Trip>) {
    return undefined;
  }

  // @ts-expect-error an option that does not exist
  @SagaStep({ timout: '5s' })
  unknownOption(_ctx: SagaContext<Trip>) {
    return undefined;
  }

  // @ts-expect-error "5 seconds" is no duration
  @SagaStep({ timeout: '5 seconds' })
  wrongDuration(_ctx: SagaContext<Trip>) {
    return undefined;
  }

  // @ts-expect-error one of three words
  @SagaStep({ compensateOn: 'never' })
  wrongWord(_ctx: SagaContext<Trip>) {
    return undefined;
  }
}

/** Steps of another provider name their saga by class or by name, and other steps by any text. */
export class Stationery {
  @SagaStep({ saga: TripSaga, dependsOn: ['pay'] })
  tickets(ctx: SagaContext<Trip>) {
    return ctx.sagaId;
  }

  @Compensate('flight', { saga: 'trip' })
  shred(ctx: CompensationContext<Trip, { seat: string }>) {
    return ctx.result?.seat;
  }

  // @ts-expect-error a saga is a class, a name or a definition
  @SagaStep({ saga: 7, dependsOn: [] })
  nowhere(_ctx: SagaContext<Trip>) {
    return undefined;
  }
}

// @ts-expect-error a saga needs a name
@Saga({ version: 1 })
export class NamelessSaga {}

/** Two handlers with different inputs: the saga takes what both need. */
export class WideSaga {
  first(_ctx: SagaContext<{ a: number }>): void {
    return undefined;
  }

  second(_ctx: SagaContext<{ b: string }>): void {
    return undefined;
  }
}

/** Nothing here says what the input is. */
export class SilentSaga {
  run(): string {
    return '';
  }
}

class StrictSaga {
  only(_ctx: SagaContext<Trip>): Promise<Room> {
    return Promise.resolve({ number: 1 });
  }

  later(_ctx: SagaContext<Trip>): void {
    return undefined;
  }

  undo(_ctx: CompensationContext<Trip, Room>): string {
    return '';
  }

  untyped(): number {
    return 1;
  }

  private hidden(_ctx: SagaContext<Trip>): number {
    return this.untyped();
  }

  use(): number {
    return this.hidden({} as SagaContext<Trip>);
  }
}

export function inference(): void {
  holds<Equal<InputOf<typeof StrictSaga>, Trip>>();
  holds<Equal<ResultsOf<typeof StrictSaga>, { readonly only: Room; readonly later: void }>>();
  holds<Equal<InputOf<typeof SilentSaga>, unknown>>();
  // eslint-disable-next-line @typescript-eslint/no-empty-object-type -- no handler, no result
  holds<Equal<ResultsOf<typeof SilentSaga>, {}>>();
  holds<Equal<InputOf<'trip'>, unknown>>();
  holds<Equal<ResultsOf<'trip'>, Record<string, unknown>>>();
  holds<Equal<InputOf<SagaDefinition<Trip, { only: Room }>>, Trip>>();
  holds<Equal<ResultsOf<SagaDefinition<Trip, { only: Room }>>, { only: Room }>>();

  const wide: InputOf<typeof WideSaga> = { a: 1, b: 'x' };
  void wide;
  // @ts-expect-error the second handler needs b
  const narrow: InputOf<typeof WideSaga> = { a: 1 };
  void narrow;
}

export async function execution(orchestrator: SagaOrchestrator): Promise<void> {
  const trip = { traveller: 'Kari', nights: 2 };
  const result = await orchestrator.execute(TripSaga, trip, {
    idempotencyKey: 'k',
    timeout: '30s',
    tags: { a: 'b' },
  });
  if (result.status === 'completed') {
    const room: Room = result.results.hotel;
    const seat: string = result.results.flight.seat;
    const price: number = result.results.pay;
    void [room, seat, price];
    // @ts-expect-error there is no such step
    void result.results.boat;
    // @ts-expect-error an undo is no step
    void result.results.leave;
    // @ts-expect-error a helper is no step
    void result.results.helper;
    // @ts-expect-error a completed saga has no error
    void result.error;
  } else {
    holds<Equal<typeof result.status, 'compensated' | 'failed' | 'parked'>>();
    const code: string = result.error.code;
    const standing: readonly string[] | undefined = result.error.standing;
    void [code, standing];
    // @ts-expect-error a step may not have got so far
    void result.results.hotel.number;
  }

  // @ts-expect-error the traveller is a text
  await orchestrator.execute(TripSaga, { traveller: 1, nights: 2 });
  // @ts-expect-error the nights are missing
  await orchestrator.execute(TripSaga, { traveller: 'Kari' });
  // @ts-expect-error "soon" is no duration
  await orchestrator.execute(TripSaga, trip, { timeout: 'soon' });
  // @ts-expect-error only start joins a transaction
  await orchestrator.execute(TripSaga, trip, { manager: undefined });
  // @ts-expect-error a number names no saga
  await orchestrator.execute(7, trip);

  const byName = await orchestrator.execute('trip', { anything: [1, 2] });
  if (byName.status === 'completed') {
    const unknown: unknown = byName.results['hotel'];
    void unknown;
  }
}

export async function start(
  orchestrator: SagaOrchestrator,
  manager: SagaContext['manager'],
  definition: SagaDefinition<Trip, { hotel: Room }>,
): Promise<void> {
  const handle = await orchestrator.start(
    TripSaga,
    { traveller: 'Kari', nights: 1 },
    { manager, version: 3 },
  );
  const id: string = handle.sagaId;
  const result = await handle.result({ timeout: '1m' });
  if (result.status === 'completed') result.results.flight.seat.at(0);
  const told: SagaResult<{ hotel: Room }> = await orchestrator.result<{ hotel: Room }>(id);
  if (told.status === 'completed') told.results.hotel.number.toFixed();

  const other = await orchestrator.start(definition, { traveller: 'Ola', nights: 3 });
  const end = await other.result();
  if (end.status === 'completed') end.results.hotel.number.toFixed();
  // @ts-expect-error the input of the definition
  await orchestrator.start(definition, { traveller: 'Ola' });
  // @ts-expect-error a text is no manager
  await orchestrator.start(definition, { traveller: 'Ola', nights: 3 }, { manager: 'tx' });
}

@Saga({ name: 'probed' })
export class ProbedSaga {
  @SagaStep({ probe: 'wasBooked' })
  hotel(ctx: SagaContext<Trip>): Room {
    return { number: ctx.input.nights };
  }

  async wasBooked(ctx: ProbeContext<Trip>): Promise<ProbeResult<Room>> {
    holds<Equal<typeof ctx.phase, 'probe'>>();
    // @ts-expect-error a probe only asks
    void ctx.publish;
    // @ts-expect-error a probe only asks
    void ctx.manager;
    if (ctx.idempotencyKey === '') return { outcome: 'failed' };
    return { outcome: 'completed', result: { number: ctx.input.nights } };
  }

  wrong(): ProbeResult<Room> {
    // @ts-expect-error another result than the step's
    return { outcome: 'completed', result: { number: 'seven' } };
  }
}

// A probe is no step.
holds<Equal<keyof ResultsOf<typeof ProbedSaga>, 'hotel'>>();
holds<Equal<InputOf<typeof ProbedSaga>, Trip>>();

const transfer = new ClassicSaga<{ from: string; cents: number }>('transfer', { version: 2, retry: 5 })
  .step('debit', {
    action: async (ctx) => {
      await ctx.manager.query('SELECT $1', [ctx.input.from]);
      // @ts-expect-error no step comes before this one
      void ctx.results.debit;
      return { receipt: ctx.idempotencyKey };
    },
    compensation: async (ctx) => {
      holds<Equal<typeof ctx.result, { receipt: string } | undefined>>();
      // @ts-expect-error the result may not be known
      void ctx.result.receipt;
      await ctx.publish({ type: 'debit.undone', payload: ctx.result?.receipt });
    },
    compensationOptions: { after: ['credit'], retry: 20, timeout: '1m' },
    probe: async (ctx) => ({ outcome: 'completed', result: { receipt: ctx.idempotencyKey } }),
    transactional: true,
    timeout: '5s',
  })
  .step('credit', {
    dependsOn: ['debit'],
    action: (ctx) => {
      holds<Equal<typeof ctx.results.debit, { receipt: string } | undefined>>();
      // @ts-expect-error an earlier result is possibly undefined
      void ctx.results.debit.receipt;
      // @ts-expect-error there is no such step
      void ctx.results.debitt;
      return ctx.input.cents;
    },
  })
  .step('notify', { dependsOn: ['debit', 'credit'], action: () => undefined })
  .build();

holds<Equal<InputOf<typeof transfer>, { from: string; cents: number }>>();
holds<Equal<keyof ResultsOf<typeof transfer>, 'debit' | 'credit' | 'notify'>>();
holds<Equal<ResultsOf<typeof transfer>['debit'], { receipt: string }>>();

const trip = new ClassicSaga<Trip>('trip').step('hotel', { action: (): Room => ({ number: 7 }) });

export const refused = [
  // @ts-expect-error there is no step "hotle"
  trip.step('mail', { dependsOn: ['hotle'], action: () => 1 }),
  // @ts-expect-error a step does not wait for itself
  trip.step('mail', { dependsOn: ['mail'], action: () => 1 }),
  // @ts-expect-error the action returns a number
  trip.step('mail', { action: () => 1, compensation: (_ctx: CompensationContext<Trip, Room>) => undefined }),
  // @ts-expect-error the action returns a number
  trip.step('mail', { action: () => 1, probe: () => ({ outcome: 'completed', result: 'one' }) }),
  // @ts-expect-error the input is another
  trip.step('mail', { action: (ctx: SagaContext<string>) => ctx.input }),
  // @ts-expect-error a step has an action
  trip.step('mail', { compensation: () => undefined }),
  // @ts-expect-error an option that does not exist
  trip.step('mail', { action: () => 1, timout: '5s' }),
  // @ts-expect-error the name is the first argument
  trip.step('mail', { action: () => 1, name: 'post' }),
  // @ts-expect-error a saga needs a name
  new ClassicSaga<Trip>({ version: 1 }),
  // @ts-expect-error the name is the first argument
  new ClassicSaga<Trip>('trip', { name: 'trip' }),
];

/** A beginning that two sagas share keeps its types. */
export const [far, near] = [
  trip.step('flight', { action: (ctx) => ctx.results.hotel?.number }).build(),
  trip.step('rail', { action: () => 'seat' }).build(),
];
holds<Equal<keyof ResultsOf<typeof far>, 'hotel' | 'flight'>>();
holds<Equal<keyof ResultsOf<typeof near>, 'hotel' | 'rail'>>();

export const features = [
  SagazModule.forFeature([transfer, far, near]),
  SagazModule.forFeature([]),
  // @ts-expect-error a builder is no definition
  SagazModule.forFeature([trip]),
  // @ts-expect-error a class is no definition
  SagazModule.forFeature([TripSaga]),
];

export async function classic(orchestrator: SagaOrchestrator): Promise<void> {
  orchestrator.register(transfer);
  // @ts-expect-error a builder is no definition
  orchestrator.register(trip);
  const handle = await orchestrator.start(transfer, { from: 'ann', cents: 5 }, { idempotencyKey: 'k' });
  const result = await handle.result({ timeout: '1m' });
  if (result.status === 'completed') {
    const receipt: string = result.results.debit.receipt;
    const cents: number = result.results.credit;
    void [receipt, cents];
    // @ts-expect-error there is no such step
    void result.results.debitt;
  } else {
    // @ts-expect-error a step may not have got so far
    void result.results.debit.receipt;
  }
  // @ts-expect-error the cents are a number
  await orchestrator.execute(transfer, { from: 'ann', cents: '5' });
  // @ts-expect-error a builder is no saga
  await orchestrator.execute(trip, { traveller: 'Kari', nights: 1 });
}

const parcel = z.object({ weight: z.coerce.number(), label: z.string().default('none') });
const hidden: StandardSchema<string, Room> = {
  '~standard': { version: 1, vendor: 'own', validate: () => ({ value: { number: 1 } }) },
};

/** The schema tells what the input is, to the steps and to callers. */
export const parcels = new ClassicSaga('parcel', { input: parcel })
  .step('weigh', {
    action: (ctx) => {
      holds<Equal<typeof ctx.input.label, string>>();
      return ctx.input.weight;
    },
  })
  .build();
holds<Equal<InputOf<typeof parcels>, { weight: unknown; label?: string | undefined }>>();

export const rooms = new ClassicSaga('room', { input: hidden })
  .step('book', { action: (ctx) => ctx.input.number })
  .build();
holds<Equal<InputOf<typeof rooms>, string>>();

@Saga({ name: 'parcel-class', input: parcel })
export class ParcelSaga {}

// @ts-expect-error a class is no schema
@Saga({ name: 'parcel-class', input: Date })
export class WrongSchemaSaga {}

// @ts-expect-error the schema makes something else than the input that is named
export const other = new ClassicSaga<Trip>('trip', { input: parcel });

export async function checked(orchestrator: SagaOrchestrator): Promise<void> {
  await orchestrator.start(parcels, { weight: '7' });
  // @ts-expect-error a label is a text
  await orchestrator.start(parcels, { weight: '7', label: 7 });
}
