import { IsInt, IsNumber, IsOptional, Max, Min } from 'class-validator';

export class OrderLineDto {
  @IsInt()
  @Min(1)
  @Max(2_147_483_647)
  productId!: number;

  @IsInt()
  @Min(1)
  @Max(1_000_000)
  quantity!: number;

  /** 0 .. 1, default 0. */
  @IsOptional()
  @IsNumber({ maxDecimalPlaces: 4 })
  @Min(0)
  @Max(1)
  discount?: number;
}
