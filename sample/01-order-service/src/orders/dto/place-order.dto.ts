import { Type } from 'class-transformer';
import {
  ArrayMaxSize,
  ArrayMinSize,
  IsArray,
  IsISO8601,
  IsOptional,
  Matches,
  ValidateIf,
  ValidateNested,
} from 'class-validator';
import { OrderLineDto } from './order-line.dto.js';

const ID = /^[\w-]{1,64}$/;
const ID_WORDS = '1 to 64 letters, digits, "_" or "-"';

export class PlaceOrderDto {
  /** Chosen by the client to make the request safe to repeat; default: a new one. */
  @IsOptional()
  @Matches(ID, { message: `orderId must be ${ID_WORDS}` })
  orderId?: string;

  @Matches(ID, { message: `customerId must be ${ID_WORDS}` })
  customerId!: string;

  /** Null: not known, and the carrier will refuse the order. */
  @ValidateIf((order: PlaceOrderDto) => order.shippedDate !== null)
  @IsISO8601({ strict: true }, { message: 'shippedDate must be a date such as 2026-12-24, or null' })
  shippedDate!: string | null;

  @IsArray()
  @ArrayMinSize(1)
  @ArrayMaxSize(100)
  @ValidateNested({ each: true })
  @Type(() => OrderLineDto)
  lines!: OrderLineDto[];
}
