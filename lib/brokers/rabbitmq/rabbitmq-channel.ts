import type { ChannelModel, ConfirmChannel } from 'amqplib';
import { systemClock } from '../../runtime/clock.js';
import { errorText } from '../../runtime/error-text.js';
import { within } from '../../runtime/within.js';
import type { RabbitMqMessage } from './rabbitmq-message.js';

/** What the server said of one message. `lost`: its channel closed first, it may have arrived. */
export type Confirm = 'taken' | 'returned' | 'nacked' | 'lost';

/** Saying goodbye to a server that does not answer ends after this time. */
const GOODBYE_MS = 2_000;

/** A channel with confirms on a connection of its own, until either closes; then another one is opened. */
export class RabbitMqChannel {
  /** Why the server takes nothing at the moment, such as `low on memory`. */
  blocked: string | undefined;
  /** Why the channel is closed. */
  lost: string | undefined;
  /** Messages without a confirm. */
  unconfirmed = 0;
  /** How often each came back: one that was sent again before the server said anything of it comes back twice. */
  private readonly returned = new Map<string, number>();
  private readonly watchers = new Set<() => void>();

  constructor(
    private readonly connection: ChannelModel,
    private readonly channel: ConfirmChannel,
    private readonly exchange: string,
  ) {
    connection.on('blocked', (reason: string) => this.change(() => (this.blocked = reason)));
    connection.on('unblocked', () => this.change(() => (this.blocked = undefined)));
    connection.on('error', (error: unknown) => this.lose(error));
    connection.on('close', (error: unknown) => this.lose(error ?? 'the connection was closed'));
    channel.on('error', (error: unknown) => this.lose(error));
    channel.on('close', () => this.lose('the channel was closed'));
    channel.on('return', ({ properties }) => this.count(String(properties.messageId), 1));
  }

  /** @param told is called once, also when the channel closes */
  send({ eventId, routingKey, body, properties }: RabbitMqMessage, told: (confirm: Confirm) => void): void {
    const confirmed = (error: unknown) => {
      this.unconfirmed -= 1;
      // A message is returned before it is confirmed.
      const returned = this.returned.has(eventId);
      if (returned) this.count(eventId, -1);
      this.change(() => told(error ? failureOf(error) : returned ? 'returned' : 'taken'));
    };
    this.channel.publish(this.exchange, routingKey, body, properties, confirmed);
    this.unconfirmed += 1;
  }

  /** Whether another message may go out now. */
  hasRoom(window: number): boolean {
    return this.lost === undefined && this.blocked === undefined && this.unconfirmed < window;
  }

  /** Resolves when the fact holds or the signal aborts. The fact is looked at when something of the channel changes. */
  until(fact: () => boolean, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const look = () => {
        if (!fact() && !signal.aborted) return;
        this.watchers.delete(look);
        signal.removeEventListener('abort', look);
        resolve();
      };
      this.watchers.add(look);
      signal.addEventListener('abort', look, { once: true });
      look();
    });
  }

  /** Resolves when the server answers. */
  async ask(): Promise<void> {
    await this.channel.checkExchange('amq.topic');
  }

  /** Ends the connection, in good form if the server answers. */
  async end(): Promise<void> {
    this.lose('the connection was closed');
    // A connection that breaks meanwhile never answers, but says that it is closed.
    const goodbye = new Promise<void>((resolve) => {
      this.connection.once('close', () => resolve());
      void this.connection.close().then(resolve, () => resolve());
    });
    if (await within(systemClock, GOODBYE_MS, goodbye)) return;
    const { connection } = this.connection as unknown as { connection: { stream: { destroy(): void } } };
    connection.stream.destroy();
  }

  private count(eventId: string, more: number): void {
    const left = (this.returned.get(eventId) ?? 0) + more;
    if (left > 0) this.returned.set(eventId, left);
    else this.returned.delete(eventId);
  }

  private lose(reason: unknown): void {
    if (this.lost !== undefined) return;
    this.change(() => (this.lost = typeof reason === 'string' ? reason : errorText(reason)));
  }

  private change(how: () => void): void {
    how();
    for (const look of [...this.watchers]) look();
  }
}

/** amqplib tells the same callback of a nack and of a channel that closes. */
function failureOf(error: unknown): Confirm {
  return errorText(error) === 'message nacked' ? 'nacked' : 'lost';
}
