import type { Server } from 'node:http';
import type { INestApplication } from '@nestjs/common';
import { DocumentBuilder, SwaggerModule } from '@nestjs/swagger';
import request from 'supertest';
import { SagazAdminModule } from '../../lib/admin.js';
import { describeWith } from '../support/requirement.js';
import { StuckShop } from '../support/stuck-shop.js';
import { startApplication } from '../support/test-application.js';

const NOBODY = '0190f2d0-0000-7000-8000-000000000000';

/** What each route refuses: the body, the status, and what the answer says. */
const REFUSED: readonly (readonly [string, object | undefined, number, string])[] = [
  ['get sagas?status=faild', undefined, 400, 'status: "faild" is none; did you mean "failed"?'],
  ['get sagas?staus=failed', undefined, 400, 'there is no field "staus"; did you mean "status"?'],
  ['get sagas?limit=0', undefined, 400, 'limit: expected a whole number from 1 to 500'],
  ['get sagas?limit=1&limit=2', undefined, 400, 'limit: give it once'],
  ['get sagas?after=x', undefined, 400, 'after: expected what `next`'],
  ['get sagas?startedAfter=soon', undefined, 400, 'startedAfter: expected a date'],
  ['get sagas?tag=north', undefined, 400, 'tag: expected name=value'],
  ['get sagas?name=%00', undefined, 400, 'name: expected a text without the character NUL'],
  ['get sagas/nope', undefined, 404, 'there is no saga nope'],
  [`get sagas/${NOBODY}`, undefined, 404, `there is no saga ${NOBODY}`],
  ['get sagas/FAILED?step=charge', undefined, 400, 'there is no field "step"'],
  ['get audit?action=rtry', undefined, 400, 'action: "rtry" is none; did you mean "retry"?'],
  ['get audit?actor=%00', undefined, 400, 'actor: expected a text without the character NUL'],
  ['get audit?before=x', undefined, 400, 'before: expected the id of an action'],
  ['get events?type=x', undefined, 400, 'there is no field "type"'],
  ['get dead-letters?eventIds=abc', undefined, 400, "eventIds: expected ids of events, got 'abc'"],
  ['get dead-letters?after=WyJ4Il0', undefined, 400, 'after: expected what `next` of a page gave'],
  ['get dead-letters?diedAfter=2026-99-01', undefined, 400, 'diedAfter: expected a date'],
  [`post sagas/${NOBODY}/retry`, {}, 404, 'there is no saga'],
  ['post sagas/DONE/retry', {}, 409, 'saga DONE is completed: nothing of it has failed'],
  ['post sagas/FAILED/retry', { actor: 'bob' }, 400, 'actor: leave it out; the request says who you are'],
  ['post sagas/FAILED/retry', { reason: 7 }, 400, 'reason: expected a text, got 7'],
  ['post sagas/FAILED/retry', { reason: ['a', 'b'] }, 400, 'reason: expected a text, got an array'],
  ['post sagas/FAILED/retry', { reason: '' }, 400, 'reason: expected a text of 1 to 2000 characters'],
  ['post sagas/FAILED/retry', { reson: 'x' }, 400, 'there is no field "reson"; did you mean "reason"?'],
  ['post sagas/FAILED/retry', [1], 400, 'expected an object with the fields actor, reason, got an array'],
  [`post sagas/${NOBODY}/skip`, { step: 'charge' }, 404, 'there is no saga'],
  ['post sagas/FAILED/skip', {}, 400, 'step: expected a text, got undefined'],
  ['post sagas/FAILED/skip', { step: 'charge' }, 409, 'steps are skipped while it goes forward'],
  ['post sagas/PARKED/skip', { step: 'lable' }, 400, 'has no step "lable"; did you mean "label"?'],
  ['post sagas/nope/resolve', { step: 'charge' }, 404, 'there is no saga nope'],
  ['post sagas/FAILED/resolve', { step: 'chrage' }, 400, 'did you mean "charge"?'],
  ['post sagas/FAILED/resolve', { step: 'ship' }, 409, 'no undo of step "ship" is open'],
  [`post sagas/${NOBODY}/compensate`, {}, 404, 'there is no saga'],
  ['post sagas/FAILED/compensate', {}, 409, 'it has turned back already'],
  ['post sagas/PARKED/compensate', { step: 'label' }, 400, 'there is no field "step"'],
  [`post sagas/${NOBODY}/resume`, {}, 404, 'there is no saga'],
  ['post sagas/FAILED/resume', {}, 409, 'only a parked saga is resumed'],
  ['post sagas/PARKED/resume', {}, 409, 'step "label" has failed; retry or skip it'],
  [`post sagas/${NOBODY}/cancel`, {}, 404, 'there is no saga'],
  ['post sagas/FAILED/cancel', {}, 409, 'cannot be cancelled: it is failed'],
  ['post sagas/PARKED/cancel', {}, 409, 'cannot be cancelled: it is parked'],
  ['post dead-letters/requeue', {}, 400, 'requeue: name eventIds, a destination'],
  ['post dead-letters/requeue', { eventIds: ['x'] }, 400, "eventIds: expected ids of events, got 'x'"],
  ['post dead-letters/requeue', { type: 'order.poison', actor: 'bob' }, 400, 'actor: leave it out'],
  ['post dead-letters/discard', { reason: 'all' }, 400, 'discard: name eventIds, a destination'],
  ['post dead-letters/discard', { type: '\u0000' }, 400, 'type: expected a text without'],
  ['post dead-letters/discard', { diedBefore: '2026-02-31' }, 400, 'diedBefore: expected a date'],
  ['post published/republish', { sentAfter: 'then' }, 400, 'sentAfter: expected a date'],
  ['post published/republish', { type: 'order.sent', diedAfter: '2026-02-01' }, 400, 'no field "diedAfter"'],
];

describeWith('postgres', 'the routes of operators with bad input', () => {
  let shop: StuckShop;
  let app: INestApplication;
  beforeAll(async () => {
    shop = await StuckShop.open();
    app = await startApplication({
      url: shop.url,
      sagaz: { worker: false },
      imports: [SagazAdminModule.register({ public: true, path: 'ops', actor: () => 'ada' })],
    });
  });
  afterAll(async () => {
    await app.close();
    await shop.close();
  });

  it('is tried with every route', () => {
    const { paths } = SwaggerModule.createDocument(app, new DocumentBuilder().build());
    const routes = Object.entries(paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => `${method} ${path.replace('/ops/', '')}`),
    );
    const tried = REFUSED.map(([call]) =>
      call.replace(/\?.*/, '').replace(/ sagas\/[\w-]+/, ' sagas/{sagaId}'),
    );
    expect([...new Set(tried)].sort()).toEqual(routes.sort());
  });

  it.each(REFUSED)('%s with %j is answered with %i, says why, and changes nothing', async (call, ...rest) => {
    const [body, status, message] = rest;
    const [method, path] = shop.named(call).split(' ');
    const before = await shop.tables();
    const server = request(app.getHttpServer() as Server);
    const answer = await (method === 'get'
      ? server.get(`/ops/${path}`)
      : server.post(`/ops/${path}`).send(body));
    expect([answer.status, (answer.body as { message: string }).message]).toEqual([
      status,
      expect.stringContaining(shop.named(message)),
    ]);
    expect(await shop.tables()).toBe(before);
  });
});
