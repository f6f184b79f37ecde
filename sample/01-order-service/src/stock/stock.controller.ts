import { Controller, Get, Inject } from '@nestjs/common';
import { CurrentShop } from '../datasets/current-shop.js';
import { StockService } from './stock.service.js';

@Controller('stock')
export class StockController {
  constructor(
    @Inject(StockService) private readonly stock: StockService,
    @Inject(CurrentShop) private readonly shop: CurrentShop,
  ) {}

  @Get()
  async list(): Promise<object[]> {
    const products = await this.stock.list(this.shop.dataset);
    return products.map(({ productId, name, unitPrice, stock }) => ({ productId, name, unitPrice, stock }));
  }
}
