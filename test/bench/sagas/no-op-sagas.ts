import type { Type } from '@nestjs/common';
import { Saga, SagaStep, type SagaContext } from 'nestjs-sagaz';

interface Order {
  readonly orderId: string;
  readonly amount: number;
}

/** Nothing undoes what does nothing, so its steps are read-only. */
@Saga({ name: 'order' })
export class OrderSaga {
  @SagaStep({ readOnly: true })
  async reserve(_ctx: SagaContext<Order>) {}

  @SagaStep({ readOnly: true })
  async charge(_ctx: SagaContext<Order>) {}

  @SagaStep({ readOnly: true })
  async ship(_ctx: SagaContext<Order>) {}
}

/** A saga of so many steps, each of which waits for the one before it. */
export function lineSaga(length: number): Type<object> {
  class LineSaga {}
  const steps = Array.from({ length }, (_, index) => `step${index + 1}`);
  for (const [index, step] of steps.entries()) {
    const descriptor = { value: async (_ctx: SagaContext<Order>) => {}, configurable: true };
    Object.defineProperty(LineSaga.prototype, step, descriptor);
    SagaStep<string>({ readOnly: true, dependsOn: steps.slice(Math.max(0, index - 1), index) })(
      LineSaga.prototype as Record<string, () => unknown>,
      step,
      descriptor,
    );
  }
  Saga({ name: `line of ${length}` })(LineSaga);
  return LineSaga;
}
