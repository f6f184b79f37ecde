import { Body, Get, HttpCode, Inject, Param, Post, Query, Req } from '@nestjs/common';
import { SagaAdmin, type SagaChange, type SagaHistory, type SagaPage } from '../saga-admin.js';
import type { AuditRecord } from '../../saga/state/audit.js';
import { auditQueryOf, sagaQueryOf, type Fields } from '../text-fields.js';
import { ACTOR_READER, operatorOf, WHO_AND_WHY, type ActorReader } from './admin-actor.js';
import { Documented } from './documented.js';
import { fieldsOf, required } from './request-fields.js';

const LIST = {
  status: 'Statuses, such as failed,parked',
  name: 'Name of the saga',
  tag: 'Tags that it must have, as name=value',
  startedAfter: 'Date, such as 2026-11-27T08:30:00Z',
  startedBefore: 'Date',
  limit: 'From 1 to 500, default 50',
  after: 'Goes on behind this saga: `next` of the page before',
};
const AUDIT = {
  target: 'Id of a saga',
  actor: 'Who',
  action: 'Such as retry or requeue',
  limit: 'From 1 to 500, default 50',
  before: 'Only those before this action',
};
const STEP = { step: 'Name of the step', ...WHO_AND_WHY };

const WRONG = 'A field is wrong; the message names it';
const CHANGE = {
  200: 'Its status before and after; a worker goes on',
  400: WRONG,
  404: 'There is no such saga',
  409: 'Its state does not allow it; nothing was changed',
};

/** Sagas over HTTP. Mounted by `SagazAdminModule` only. */
export class SagasController {
  constructor(
    @Inject(SagaAdmin) private readonly admin: SagaAdmin,
    @Inject(ACTOR_READER) private readonly actorOf: ActorReader,
  ) {}

  @Get('sagas')
  @Documented({ summary: 'The newest sagas first', query: LIST, answers: { 200: 'A page', 400: WRONG } })
  list(@Query() query: unknown): Promise<SagaPage> {
    return this.admin.list(sagaQueryOf(fieldsOf(query, Object.keys(LIST))));
  }

  @Get('sagas/:sagaId')
  @Documented({
    summary: 'What happened to one saga',
    answers: { 200: 'Its history', 400: WRONG, 404: CHANGE[404] },
  })
  history(@Param('sagaId') sagaId: string, @Query() query: unknown): Promise<SagaHistory> {
    fieldsOf(query, []);
    return this.admin.history(sagaId);
  }

  @Post('sagas/:sagaId/retry')
  @HttpCode(200)
  @Documented({ summary: 'What has failed gets all its attempts again', body: WHO_AND_WHY, answers: CHANGE })
  retry(
    @Param('sagaId') sagaId: string,
    @Body() body: unknown,
    @Req() request: unknown,
  ): Promise<SagaChange> {
    return this.admin.retry(sagaId, this.operator(request, bodyOf(body)));
  }

  @Post('sagas/:sagaId/skip')
  @HttpCode(200)
  @Documented({ summary: 'Goes on as if a step were done', body: STEP, required: ['step'], answers: CHANGE })
  skip(@Param('sagaId') sagaId: string, @Body() body: unknown, @Req() request: unknown): Promise<SagaChange> {
    const fields = bodyOf(body, STEP);
    return this.admin.skip(sagaId, required(fields, 'step'), this.operator(request, fields));
  }

  @Post('sagas/:sagaId/resolve')
  @HttpCode(200)
  @Documented({ summary: 'A step was undone by hand', body: STEP, required: ['step'], answers: CHANGE })
  resolve(
    @Param('sagaId') sagaId: string,
    @Body() body: unknown,
    @Req() request: unknown,
  ): Promise<SagaChange> {
    const fields = bodyOf(body, STEP);
    return this.admin.resolve(sagaId, required(fields, 'step'), this.operator(request, fields));
  }

  @Post('sagas/:sagaId/compensate')
  @HttpCode(200)
  @Documented({ summary: 'Turns back, also behind the pivot', body: WHO_AND_WHY, answers: CHANGE })
  compensate(
    @Param('sagaId') sagaId: string,
    @Body() body: unknown,
    @Req() request: unknown,
  ): Promise<SagaChange> {
    return this.admin.compensate(sagaId, this.operator(request, bodyOf(body)));
  }

  @Post('sagas/:sagaId/resume')
  @HttpCode(200)
  @Documented({ summary: 'A parked saga runs again', body: WHO_AND_WHY, answers: CHANGE })
  resume(
    @Param('sagaId') sagaId: string,
    @Body() body: unknown,
    @Req() request: unknown,
  ): Promise<SagaChange> {
    return this.admin.resume(sagaId, this.operator(request, bodyOf(body)));
  }

  @Post('sagas/:sagaId/cancel')
  @HttpCode(200)
  @Documented({ summary: 'Turns back before the pivot', body: WHO_AND_WHY, answers: CHANGE })
  cancel(
    @Param('sagaId') sagaId: string,
    @Body() body: unknown,
    @Req() request: unknown,
  ): Promise<SagaChange> {
    return this.admin.cancel(sagaId, this.operator(request, bodyOf(body)));
  }

  @Get('audit')
  @Documented({
    summary: 'What operators did',
    query: AUDIT,
    answers: { 200: 'The latest first', 400: WRONG },
  })
  async audit(@Query() query: unknown): Promise<{ actions: readonly AuditRecord[] }> {
    return { actions: await this.admin.audit(auditQueryOf(fieldsOf(query, Object.keys(AUDIT)))) };
  }

  private operator(request: unknown, fields: Fields) {
    return operatorOf(this.actorOf, request, fields);
  }
}

function bodyOf(body: unknown, known: object = WHO_AND_WHY): Fields {
  return fieldsOf(body, Object.keys(known));
}
