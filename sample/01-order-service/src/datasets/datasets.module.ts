import { Global, Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { CurrentShop } from './current-shop.js';
import { DatasetEntity } from './dataset.entity.js';
import { DatasetsService } from './datasets.service.js';

@Global()
@Module({
  imports: [TypeOrmModule.forFeature([DatasetEntity])],
  providers: [CurrentShop, DatasetsService],
  exports: [CurrentShop, DatasetsService],
})
export class DatasetsModule {}
