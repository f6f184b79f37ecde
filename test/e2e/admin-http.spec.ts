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
