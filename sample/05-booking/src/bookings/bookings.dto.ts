import { IsBoolean, IsInt, Length, Min } from 'class-validator';

export class RequestBookingDto {
  @Length(1, 100)
  guest!: string;

  @IsInt()
  @Min(1)
  room!: number;
}

export class DecisionDto {
  @IsBoolean()
  approved!: boolean;

  @Length(1, 100)
  by!: string;
}
