import { Body, Get, HttpCode, Inject, Post, Query, Req } from '@nestjs/common';
import { OutboxAdmin, type DeadLetterPage } from '../outbox-admin.js';
import { deadLetterFilterOf, deadLetterQueryOf, sentFilterOf } from '../text-fields.js';
import { ACTOR_READER, operatorOf, WHO_AND_WHY, type ActorReader } from './admin-actor.js';
import { Documented } from './documented.js';
import { fieldsOf } from './request-fields.js';

const EVENTS = {
  eventIds: 'Ids of events',
  destination: 'Where they were to go',
  type: 'Type of the events',
  key: 'Their ordering key',
};
const DEAD = { ...EVENTS, diedAfter: 'Date, such as 2026-11-27T08:30:00Z', diedBefore: 'Date' };
const DEAD_LIST = {
  ...DEAD,
  limit: 'From 1 to 500, default 50',
  after: 'Goes on behind this letter: `next` of the page before',
};
const CHANGE_DEAD = { ...DEAD, ...WHO_AND_WHY };
const CHANGE_SENT = { ...EVENTS, sentAfter: 'Date', sentBefore: 'Date', ...WHO_AND_WHY };

const WRONG = 'A field is wrong, or the filter says nothing; the message names it';
const COUNT = { 200: 'How many', 400: WRONG };

interface Count {
  readonly events: number;
}

/** Events in trouble over HTTP. Mounted by `SagazAdminModule` only. */
export class EventsController {
  constructor(
    @Inject(OutboxAdmin) private readonly admin: OutboxAdmin,
    @Inject(ACTOR_READER) private readonly actorOf: ActorReader,
  ) {}

  @Get('events')
  @Documented({
    summary: 'How many events wait, by destination and shard',
    answers: { 200: 'The numbers', 400: WRONG },
  })
  async numbers(@Query() query: unknown): Promise<object> {
    fieldsOf(query, []);
    const numbers = Object.entries(await this.admin.numbers()) as [
      string,
      ReadonlyMap<string | number, number>,
    ][];
    return Object.fromEntries(numbers.map(([name, of]) => [name, Object.fromEntries(of)]));
  }

  @Get('dead-letters')
  @Documented({
    summary: 'Events that gave up',
    query: DEAD_LIST,
    answers: { 200: 'A page, the latest first', 400: WRONG },
  })
  deadLetters(@Query() query: unknown): Promise<DeadLetterPage> {
    return this.admin.listDeadLetters(deadLetterQueryOf(fieldsOf(query, Object.keys(DEAD_LIST))));
  }

  @Post('dead-letters/requeue')
  @HttpCode(200)
  @Documented({ summary: 'Publishes dead letters again', body: CHANGE_DEAD, answers: COUNT })
  async requeue(@Body() body: unknown, @Req() request: unknown): Promise<Count> {
    const { actor, reason, ...fields } = fieldsOf(body, Object.keys(CHANGE_DEAD));
    const by = operatorOf(this.actorOf, request, { actor, reason });
    return { events: await this.admin.requeue(deadLetterFilterOf(fields), by) };
  }

  @Post('dead-letters/discard')
  @HttpCode(200)
  @Documented({ summary: 'Forgets dead letters for good', body: CHANGE_DEAD, answers: COUNT })
  async discard(@Body() body: unknown, @Req() request: unknown): Promise<Count> {
    const { actor, reason, ...fields } = fieldsOf(body, Object.keys(CHANGE_DEAD));
    const by = operatorOf(this.actorOf, request, { actor, reason });
    return { events: await this.admin.discard(deadLetterFilterOf(fields), by) };
  }

  @Post('published/republish')
  @HttpCode(200)
  @Documented({ summary: 'Publishes kept events once more', body: CHANGE_SENT, answers: COUNT })
  async republish(@Body() body: unknown, @Req() request: unknown): Promise<Count> {
    const { actor, reason, ...fields } = fieldsOf(body, Object.keys(CHANGE_SENT));
    const by = operatorOf(this.actorOf, request, { actor, reason });
    return { events: await this.admin.republish(sentFilterOf(fields), by) };
  }
}
