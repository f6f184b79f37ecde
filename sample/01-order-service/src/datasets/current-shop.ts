import { Injectable, ServiceUnavailableException } from '@nestjs/common';

/** Datasets that are sold from over HTTP are named so; an order of an earlier one can still be asked for. */
export const SHOP_PREFIX = 'shop-';

/** Which dataset the HTTP side sells from; set once, at the start. */
@Injectable()
export class CurrentShop {
  private name: string | undefined;

  open(dataset: string): void {
    this.name = dataset;
  }

  get dataset(): string {
    if (this.name === undefined) throw new ServiceUnavailableException('the shop is not open yet');
    return this.name;
  }
}
