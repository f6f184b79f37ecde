import { Saga, SagaStep, type SagaContext } from 'nestjs-sagaz';

export interface OrderInput {
  readonly orderId: string;
}

/** As small as a saga can be: this sample is about where it runs. */
@Saga({ name: 'order' })
export class OrderSaga {
  @SagaStep({ readOnly: true })
  async place({ input: { orderId }, publish }: SagaContext<OrderInput>): Promise<void> {
    await publish({ type: 'order.placed', key: orderId, payload: { orderId } });
  }
}
