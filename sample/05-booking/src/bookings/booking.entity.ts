import { Column, Entity, Index, PrimaryColumn } from 'typeorm';

export type BookingState = 'requested' | 'held' | 'confirmed' | 'released';

/** A room is held or confirmed for one booking at a time. */
@Entity('booking')
@Index('booking_room', ['room'], { unique: true, where: "state IN ('held', 'confirmed')" })
export class BookingEntity {
  @PrimaryColumn('uuid')
  bookingId!: string;

  @Column('uuid')
  sagaId!: string;

  @Column('text')
  guest!: string;

  @Column('integer')
  room!: number;

  @Column('text')
  state!: BookingState;

  @Column('text', { nullable: true })
  decidedBy!: string | null;
}
