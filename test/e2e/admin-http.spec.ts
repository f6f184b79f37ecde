import 'reflect-metadata';
import type { Server } from 'node:http';
import {
  Inject,
  Injectable,
  Module,
  type CanActivate,
  type ExecutionContext,
  type INestApplication,
} from '@nestjs/common';
import { DocumentBuilder, SwaggerModule } from '@nestjs/swagger';
import request from 'supertest';
import { SagazAdminModule, type SagazAdminOptions } from '../../lib/admin.js';
import {
  AdminUnguardedError,
  InMemoryBroker,
  NoEffectError,
  Saga,
  SagaAdmin,
  SagaOrchestrator,
  SagaStep,
  Compensate,
  SagazOptionsError,
  type SagaContext,
  type SagaHistory,
} from '../../lib/index.js';
import { startApplication } from '../support/test-application.js';

const bank = { closed: true };

@Saga({ name: 'order', compensationRetry: 1 })
class OrderSaga {
  @SagaStep()
  charge(ctx: SagaContext<{ card: string }>) {
    return { card: ctx.input.card };
  }

  @Compensate('charge')
  refund() {
    if (bank.closed) throw new Error('bank is closed');
  }

  @SagaStep({ retry: 1 })
  ship() {
    throw new NoEffectError('no carrier');
  }
}

/** What guards ask: in a module of its own, as in most applications. */
@Injectable()
class Staff {
  nameOf(token: string | undefined): string | undefined {
    return token === 'Bearer of-ada' ? 'ada' : undefined;
  }
}

@Module({ providers: [Staff], exports: [Staff] })
class StaffModule {}

@Injectable()
class StaffGuard implements CanActivate {
  constructor(@Inject(Staff) private readonly staff: Staff) {}

  canActivate(context: ExecutionContext): boolean {
    const message = context.switchToHttp().getRequest<{ headers: Record<string, string>; staff?: string }>();
    const name = this.staff.nameOf(message.headers['authorization']);
    if (name !== undefined) message.staff = name;
    return name !== undefined;
  }
}

const GUARDED = {
  path: 'ops/sagaz',
  guards: [StaffGuard],
  imports: [StaffModule],
  actor: (message) => (message as { staff?: string }).staff,
} satisfies SagazAdminOptions;

/** What an application does that knows some of those who send requests. */
function namedBy(message: unknown): string | undefined {
  return (message as { headers: Record<string, string> }).headers['x-name'];
}

const NOBODY = '0190f2d0-0000-7000-8000-000000000000';

describe('the routes of operators', () => {
  let app: INestApplication;
  const server = () => app.getHttpServer() as Server;
  const get = (path: string) =>
    request(server()).get(`/ops/sagaz/${path}`).set('authorization', 'Bearer of-ada');
  const post = (path: string, body?: object) =>
    request(server()).post(`/ops/sagaz/${path}`).set('authorization', 'Bearer of-ada').send(body);

  beforeAll(async () => {
    const broker = new InMemoryBroker();
    app = await startApplication({
      sagaz: { broker },
      providers: [OrderSaga],
      imports: [SagazAdminModule.register(GUARDED)],
    });
  });
  afterAll(() => app.close());
  beforeEach(() => {
    bank.closed = true;
  });

  async function failed(): Promise<string> {
    const { sagaId, status } = await app.get(SagaOrchestrator).execute(OrderSaga, { card: 'secret-card' });
    expect(status).toBe('failed');
    return sagaId;
  }

  /** Where a saga stands, without times: those of memory storage are counted back from now. */
  async function told(sagaId: string) {
    const { status, error, timeline } = (await get(`sagas/${sagaId}`)).body as SagaHistory;
    return { status, error, timeline: timeline.map(({ what, step, epoch }) => ({ what, step, epoch })) };
  }

  it('are not mounted without guards, unless somebody says that they are public (pitfall 35)', async () => {
    expect(() => SagazAdminModule.register({ path: 'x' })).toThrow(AdminUnguardedError);
    expect(() => SagazAdminModule.register({ path: 'x', guards: [], public: false })).toThrow(
      'say public: true',
    );
    expect(() => SagazAdminModule.register({ guards: [undefined as never] })).toThrow(
      'guards: expected a list of guards',
    );
    expect(() => SagazAdminModule.register({ pth: 'x', public: 'yes' } as never)).toThrow(SagazOptionsError);
    const open = await startApplication({ imports: [SagazAdminModule.register({ public: true })] });
    await request(open.getHttpServer() as Server)
      .get('/sagaz/sagas')
      .expect(200, { sagas: [] });
    await open.close();
  });

  it('answer nobody whom the guards do not let in, on any route, and change nothing (pitfall 35)', async () => {
    const sagaId = await failed();
    const document = SwaggerModule.createDocument(app, new DocumentBuilder().build());
    const routes = Object.entries(document.paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((method) => ({ method, path: path.replace('{sagaId}', sagaId) })),
    );
    expect(routes.length).toBe(14);
    for (const { method, path } of routes) {
      const call = method === 'get' ? request(server()).get(path) : request(server()).post(path).send({});
      expect([path, (await call).status]).toEqual([path, 403]);
    }
    expect((await get(`sagas/${sagaId}`)).body).toMatchObject({ status: 'failed' });
  });

  it('show a saga without what it was given or what its steps returned', async () => {
    const sagaId = await failed();
    const { body, text } = await get(`sagas/${sagaId}`).expect(200);
    expect(body).toMatchObject({ sagaId, status: 'failed', error: { standing: ['charge'] } });
    expect(body.timeline).toContainEqual(expect.objectContaining({ what: 'undo gave up', step: 'charge' }));
    expect(text).not.toContain('secret-card');
    const list = await get('sagas?status=failed,parked&limit=500').expect(200);
    expect(list.body.sagas).toContainEqual(expect.objectContaining({ sagaId }));
    expect(list.text).not.toContain('secret-card');
  });

  it('mend a saga, and note who did it and why', async () => {
    const sagaId = await failed();
    bank.closed = false;
    const answer = { sagaId, before: 'failed', after: 'compensating' };
    await post(`sagas/${sagaId}/retry`, { reason: 'bank is open' }).expect(200, answer);
    expect((await app.get(SagaOrchestrator).result(sagaId)).status).toBe('compensated');
    const { body } = await get(`audit?target=${sagaId}`).expect(200);
    expect(body.actions).toMatchObject([
      { actor: 'ada', action: 'retry', target: sagaId, reason: 'bank is open', before: { status: 'failed' } },
    ]);
    await post(`sagas/${sagaId}/retry`).expect(409);
  });

  it('count events, and list dead letters', async () => {
    await get('events').expect(200, { pending: {}, oldestAgeMs: {}, lag: {}, retrying: {}, dead: {} });
    await get('dead-letters').expect(200, { letters: [] });
    await post('dead-letters/requeue', { type: 'none' }).expect(200, { events: 0 });
    await post('dead-letters/discard', { eventIds: [NOBODY] }).expect(200, { events: 0 });
    await post('published/republish', { key: 'none' }).expect(200, { events: 0 });
  });

  it.each<[string, string, object | undefined, number, string]>([
    ['get', 'sagas?status=faild', undefined, 400, 'status: "faild" is none; did you mean "failed"?'],
    ['get', 'sagas?staus=failed', undefined, 400, 'there is no field "staus"; did you mean "status"?'],
    ['get', 'sagas?limit=0', undefined, 400, 'limit: expected a whole number from 1 to 500'],
    ['get', 'sagas?limit=1&limit=2', undefined, 400, 'limit: give it once'],
    ['get', 'sagas?after=x', undefined, 400, 'after: expected what `next`'],
    ['get', 'sagas?startedAfter=soon', undefined, 400, 'startedAfter: expected a date'],
    ['get', 'sagas?tag=north', undefined, 400, 'tag: expected name=value'],
    ['get', 'sagas/nope', undefined, 404, 'there is no saga nope'],
    ['get', 'audit?action=rtry', undefined, 400, 'action: "rtry" is none; did you mean "retry"?'],
    ['get', 'audit?actor=%00', undefined, 400, 'actor: expected a text without the character NUL'],
    ['get', 'sagas?name=%00', undefined, 400, 'name: expected a text without the character NUL'],
    ['get', 'dead-letters?eventIds=abc', undefined, 400, "eventIds: expected ids of events, got 'abc'"],
    ['post', 'dead-letters/discard', { type: '\u0000' }, 400, 'type: expected a text without'],
    ['post', 'dead-letters/discard', { diedBefore: '2026-02-31' }, 400, 'diedBefore: expected a date'],
    ['get', 'audit?before=x', undefined, 400, 'before: expected the id of an action'],
    ['get', 'dead-letters?diedAfter=2026-99-01', undefined, 400, 'diedAfter: expected a date'],
    ['post', `sagas/${NOBODY}/retry`, {}, 404, 'there is no saga'],
    ['post', `sagas/${NOBODY}/cancel`, {}, 404, 'there is no saga'],
    [
      'post',
      'sagas/FAILED/retry',
      { actor: 'bob' },
      400,
      'actor: leave it out; the request says who you are',
    ],
    ['post', 'dead-letters/requeue', { type: 'x', actor: 'bob' }, 400, 'actor: leave it out'],
    ['post', 'sagas/FAILED/retry', { reason: 7 }, 400, 'reason: expected a text, got 7'],
    ['post', 'sagas/FAILED/retry', { reason: ['a', 'b'] }, 400, 'reason: expected a text, got an array'],
    ['post', 'sagas/FAILED/retry', { reason: '' }, 400, 'reason: expected a text of 1 to 2000 characters'],
    ['post', 'sagas/FAILED/retry', { reson: 'x' }, 400, 'there is no field "reson"; did you mean "reason"?'],
    [
      'post',
      'sagas/FAILED/retry',
      [1],
      400,
      'expected an object with the fields actor, reason, got an array',
    ],
    ['post', 'sagas/FAILED/skip', {}, 400, 'step: expected a text, got undefined'],
    ['post', 'sagas/FAILED/skip', { step: 'charge' }, 409, 'steps are skipped while it goes forward'],
    ['post', 'sagas/FAILED/resolve', { step: 'chrage' }, 400, 'did you mean "charge"?'],
    ['post', 'sagas/FAILED/resolve', { step: 'ship' }, 409, 'no undo of step "ship" is open'],
    ['post', 'sagas/FAILED/compensate', {}, 409, 'it has turned back already'],
    ['post', 'sagas/FAILED/resume', {}, 409, 'only a parked saga is resumed'],
    ['post', 'sagas/FAILED/cancel', {}, 409, 'cannot be cancelled: it is failed'],
    ['post', 'dead-letters/requeue', {}, 400, 'requeue: name eventIds, a destination'],
    ['post', 'dead-letters/discard', { reason: 'all' }, 400, 'discard: name eventIds, a destination'],
    ['post', 'dead-letters/requeue', { eventIds: ['x'] }, 400, "eventIds: expected ids of events, got 'x'"],
    ['post', 'published/republish', { sentAfter: 'then' }, 400, 'sentAfter: expected a date'],
  ])(
    'refuse %s %s %j with %i, saying why, and change nothing',
    async (method, path, body, status, message) => {
      const sagaId = await failed();
      const before = await told(sagaId);
      const place = path.replace('FAILED', sagaId);
      const { body: answer } = await (method === 'get' ? get(place) : post(place, body)).expect(status);
      expect(answer.message).toContain(message);
      expect(await told(sagaId)).toEqual(before);
      expect((await get(`audit?target=${sagaId}`)).body).toEqual({ actions: [] });
    },
  );

  it('do nothing for somebody without a name, so that the audit never says that nobody did it', async () => {
    const open = await startApplication({
      sagaz: { broker: new InMemoryBroker() },
      providers: [OrderSaga],
      imports: [
        SagazAdminModule.register({ public: true, path: 'said' }),
        SagazAdminModule.register({ public: true, path: 'known', actor: namedBy }),
      ],
    });
    const { sagaId } = await open.get(SagaOrchestrator).execute(OrderSaga, { card: 'secret-card' });
    const send = (path: string, body: object) =>
      request(open.getHttpServer() as Server)
        .post(path)
        .send(body);
    const changes = [
      ...['retry', 'compensate', 'resume', 'cancel'].map((it) => [`sagas/${sagaId}/${it}`, {}] as const),
      ...['skip', 'resolve'].map((it) => [`sagas/${sagaId}/${it}`, { step: 'charge' }] as const),
      ...['dead-letters/requeue', 'dead-letters/discard', 'published/republish'].map(
        (it) => [it, { type: 'none' }] as const,
      ),
    ];
    const audit = () => open.get(SagaAdmin).audit();
    for (const [path, body] of changes) {
      const { body: unsaid } = await send(`/said/${path}`, body).expect(400);
      expect([path, unsaid.message]).toEqual([path, 'actor: say who you are, for the audit']);
      await send(`/said/${path}`, { ...body, actor: '' }).expect(400);
      await send(`/said/${path}`, { ...body, actor: ' ' }).expect(400);
      await send(`/said/${path}`, { ...body, actor: ['ada', 'bob'] }).expect(400);
      const { body: unknown } = await send(`/known/${path}`, body).expect(400);
      expect([path, unknown.message]).toEqual([
        path,
        expect.stringContaining('does not know who sends this'),
      ]);
      await send(`/known/${path}`, { ...body, actor: 'ada' }).expect(400);
      await send(`/known/${path}`, body).set('x-name', ' ').expect(400);
    }
    expect(await audit()).toEqual([]);
    await send(`/said/sagas/${sagaId}/retry`, { actor: 'ada' }).expect(200);
    await send('/known/dead-letters/discard', { type: 'none' }).set('x-name', 'bob').expect(200);
    expect((await audit()).map(({ actor, action }) => [actor, action])).toContainEqual(['ada', 'retry']);
    await open.close();
  });

  it('stand in the OpenAPI document, with what they take and answer', () => {
    const document = SwaggerModule.createDocument(app, new DocumentBuilder().setTitle('shop').build());
    const retry = document.paths['/ops/sagaz/sagas/{sagaId}/retry']?.post;
    expect(retry).toMatchObject({
      summary: 'What has failed gets all its attempts again',
      tags: ['sagaz'],
      parameters: [{ name: 'sagaId', in: 'path', required: true }],
      requestBody: {
        content: { 'application/json': { schema: { properties: { reason: { type: 'string' } } } } },
      },
    });
    expect(Object.keys(retry?.responses ?? {})).toEqual(['200', '400', '404', '409']);
    const skip = document.paths['/ops/sagaz/sagas/{sagaId}/skip']?.post;
    expect(skip).toMatchObject({
      requestBody: { content: { 'application/json': { schema: { required: ['step'] } } } },
    });
    const list = document.paths['/ops/sagaz/sagas']?.get;
    expect(list?.parameters).toContainEqual(
      expect.objectContaining({
        name: 'tag',
        in: 'query',
        schema: { type: 'array', items: { type: 'string' } },
      }),
    );
    for (const [path, methods] of Object.entries(document.paths))
      for (const operation of Object.values(methods as Record<string, { summary?: string }>))
        expect([path, operation.summary]).toEqual([path, expect.stringMatching(/\w/)]);
  });
});
