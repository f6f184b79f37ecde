import { EventEmitter } from 'node:events';
import { RabbitMqChannel, type Confirm } from '../../lib/brokers/rabbitmq/rabbitmq-channel.js';
import { rabbitMqMessage } from '../../lib/brokers/rabbitmq/rabbitmq-message.js';
import { itemOf } from '../support/brokers/broker-item.js';

/** The channel of a server that says what the test wants, when it wants. */
class ScriptedChannel extends EventEmitter {
  readonly confirms: ((error: unknown) => void)[] = [];

  publish(_exchange: string, routingKey: string, ...[, , confirm]: [unknown, unknown, () => void]): void {
    if (routingKey === 'unwritable') throw new RangeError('no room in the frame');
    this.confirms.push(confirm);
  }
}

describe('RabbitMqChannel', () => {
  const message = (type: string) => rabbitMqMessage(itemOf({ type }), 'nest');
  const open = () => {
    const scripted = new ScriptedChannel();
    return { scripted, channel: new RabbitMqChannel(new EventEmitter() as never, scripted as never, 'x') };
  };

  it('an unroutable message that was sent twice before the server answered is never taken for published', () => {
    const { scripted, channel } = open();
    const told: Confirm[] = [];
    const twice = message('nowhere');
    for (let n = 0; n < 2; n++) channel.send(twice, (confirm) => told.push(confirm));
    for (let n = 0; n < 2; n++)
      scripted.emit('return', { properties: { messageId: twice.eventId }, fields: {} });
    for (const confirm of scripted.confirms) confirm(null);
    expect(told).toEqual(['returned', 'returned']);
    channel.send(twice, (confirm) => told.push(confirm));
    scripted.confirms[2]?.(null);
    expect(told[2]).toBe('taken');
  });

  it('a message that cannot be written takes nothing of the window', () => {
    const { channel } = open();
    expect(() => channel.send(message('unwritable'), () => undefined)).toThrow(RangeError);
    expect([channel.unconfirmed, channel.hasRoom(1)]).toEqual([0, true]);
  });
});
