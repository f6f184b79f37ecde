import { Module } from '@nestjs/common';
import { CarrierClient } from './carrier.client.js';
import { CarrierSimulator } from './carrier.simulator.js';

@Module({
  providers: [CarrierClient, CarrierSimulator],
  exports: [CarrierClient],
})
export class CarrierModule {}
