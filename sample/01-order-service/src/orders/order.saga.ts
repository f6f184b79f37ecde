import { Inject } from '@nestjs/common';
import { Compensate, Saga, SagaStep } from 'nestjs-sagaz';
import type { CompensationContext, ProbeContext, ProbeResult, SagaContext } from 'nestjs-sagaz';
import { CarrierClient } from '../carrier/carrier.client.js';
import type { Shipment } from '../carrier/parcel.js';
import { CreditService } from '../customers/credit.service.js';
import { StockService } from '../stock/stock.service.js';
import type { OrderInput } from './order-input.js';
import { OrderState } from './order-state.js';
import { OrderTrail } from './order-trail.js';
import { OrderEntity } from './order.entity.js';

/** Reserve, charge, ship, notify. Until the carrier has the parcel every step can be undone; after it none is. */
@Saga({ name: 'order' })
export class OrderSaga {
  constructor(
    @Inject(StockService) private readonly stock: StockService,
    @Inject(CreditService) private readonly credit: CreditService,
    @Inject(CarrierClient) private readonly carrier: CarrierClient,
    @Inject(OrderTrail) private readonly trail: OrderTrail,
  ) {}

  @SagaStep({ transactional: true })
  async reserve(ctx: SagaContext<OrderInput>): Promise<void> {
    await this.stock.reserve(ctx.manager, ctx.input, ctx.input.lines);
    this.trail.did(ctx.input, 'reserve');
  }

  @Compensate('reserve')
  async release(ctx: CompensationContext<OrderInput>): Promise<void> {
    await this.stock.release(ctx.manager, ctx.input);
    this.trail.undid(ctx.input, 'release');
  }

  @SagaStep({ dependsOn: ['reserve'], transactional: true })
  async charge(ctx: SagaContext<OrderInput>): Promise<void> {
    await this.credit.charge(ctx.manager, ctx.input, ctx.input.customerId, ctx.input.total);
    this.trail.did(ctx.input, 'charge');
  }

  @Compensate('charge')
  async refund(ctx: CompensationContext<OrderInput>): Promise<void> {
    await this.credit.refund(ctx.manager, ctx.input);
    this.trail.undid(ctx.input, 'refund');
  }

  @SagaStep({ dependsOn: ['charge'], pivot: true, timeout: '10s', probe: 'wasShipped' })
  async ship(ctx: SagaContext<OrderInput>): Promise<Shipment> {
    const { orderId, shippedDate } = ctx.input;
    const shipment = await this.carrier.ship({ orderId, shippedDate }, ctx);
    this.trail.did(ctx.input, 'ship');
    return shipment;
  }

  /** After a crash nobody knows whether the carrier got the parcel, but the carrier does. */
  async wasShipped(ctx: ProbeContext<OrderInput>): Promise<ProbeResult<Shipment>> {
    const shipment = await this.carrier.find(ctx);
    return shipment ? { outcome: 'completed', result: shipment } : { outcome: 'failed' };
  }

  @SagaStep({ dependsOn: ['ship'], transactional: true })
  async notify(ctx: SagaContext<OrderInput, { ship: Shipment }>): Promise<void> {
    const { dataset, orderId, customerId, total } = ctx.input;
    const completed = { state: OrderState.Completed, sagaId: ctx.sagaId };
    await ctx.manager.update(OrderEntity, { dataset, orderId }, completed);
    await ctx.publish({
      type: 'order.completed',
      key: orderId,
      payload: { dataset, orderId, customerId, total, trackingId: ctx.results.ship?.trackingId },
    });
    this.trail.did(ctx.input, 'notify');
  }
}
