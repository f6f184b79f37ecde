import type { SagaChange, SagaHistory } from '../../admin/saga-admin.js';
import { sagaQueryOf } from '../../admin/text-fields.js';
import type { Call, Command, Desk, Output } from '../command.js';
import { facts, table } from '../table.js';

const list: Command = {
  name: 'sagas list',
  summary: 'the newest sagas first',
  parameters: [],
  options: {
    status: { value: 'STATUS', help: 'one, or several with commas, such as failed,parked', multiple: true },
    name: { value: 'NAME', help: 'name of the saga' },
    tag: { value: 'NAME=VALUE', help: 'a tag that it must have', multiple: true },
    'started-after': { value: 'DATE', help: 'such as 2026-11-27T08:30:00Z' },
    'started-before': { value: 'DATE', help: 'the same' },
    limit: { value: 'N', help: 'from 1 to 500, default 50' },
    after: { value: 'ID', help: 'goes on behind this saga' },
  },
  changes: false,
  async run(call) {
    const query = sagaQueryOf(call.fields);
    const page = await call.atDesk(({ sagas }) => sagas.list(query));
    const rows = page.sagas.map(({ sagaId, sagaName, version, status, startedAt, endedAt, error }) => [
      ...[sagaId, `${sagaName} v${version}`, status, startedAt, endedAt],
      ...[error?.step, error?.message],
    ]);
    const headings = ['id', 'saga', 'status', 'started', 'ended', 'step', 'error'];
    const more = page.next === undefined ? '' : `\n\nmore: --after ${page.next}`;
    const text = rows.length === 0 ? 'no sagas' : table(headings, rows) + more;
    return { text, json: page };
  },
};

const show: Command = {
  name: 'sagas show',
  summary: 'what happened to one saga, in order',
  parameters: ['ID'],
  options: {},
  changes: false,
  async run(call) {
    const history = await call.atDesk(({ sagas }) => sagas.history(call.argument('ID')));
    return { text: told(history), json: history };
  },
};

function told({ timeline, ...saga }: SagaHistory): string {
  const { sagaId, sagaName, version, status, startedAt, endedAt, correlationId, error } = saga;
  const tags = Object.entries(saga.tags).map(([name, value]) => `${name}=${value}`);
  const head = facts({
    ...{ id: sagaId, saga: `${sagaName} v${version}`, status, started: startedAt, ended: endedAt },
    ...{ correlation: correlationId, tags: tags.join(' ') || undefined },
    ...{ error: error?.message, code: error?.code, standing: error?.standing?.join(', ') },
  });
  const rows = timeline.map(({ at, what, step, attempt, outcome, code, message, actor, launched, epoch }) => [
    ...[at, what, step, attempt, outcome, launched.join(' '), epoch, actor],
    code === undefined ? message : `${code}: ${message}`,
  ]);
  const headings = ['at', 'what', 'step', 'attempt', 'outcome', 'launched', 'epoch', 'by', 'message'];
  return `${head}\n\n${table(headings, rows)}`;
}

interface Change {
  readonly word: string;
  readonly summary: string;
  readonly step?: true;
  readonly apply: (desk: Desk, call: Call) => Promise<SagaChange>;
}

const CHANGES: readonly Change[] = [
  {
    word: 'retry',
    summary: 'what has failed gets all its attempts again; what waits for its next attempt gets it now',
    apply: ({ sagas }, call) => sagas.retry(call.argument('ID'), call.operator),
  },
  {
    word: 'skip',
    summary: 'the saga goes on as if this step were done',
    step: true,
    apply: ({ sagas }, call) => sagas.skip(call.argument('ID'), call.argument('STEP'), call.operator),
  },
  {
    word: 'resolve',
    summary: 'this step was undone by hand: its undo is not tried any more',
    step: true,
    apply: ({ sagas }, call) => sagas.resolve(call.argument('ID'), call.argument('STEP'), call.operator),
  },
  {
    word: 'compensate',
    summary: 'turns the saga back, also behind its point of no return',
    apply: ({ sagas }, call) => sagas.compensate(call.argument('ID'), call.operator),
  },
  {
    word: 'resume',
    summary: 'a saga that was parked because of its processes or its code runs again',
    apply: ({ sagas }, call) => sagas.resume(call.argument('ID'), call.operator),
  },
  {
    word: 'cancel',
    summary: 'turns the saga back before its point of no return',
    apply: ({ sagas }, call) => sagas.cancel(call.argument('ID'), call.operator),
  },
];

function commandOf({ word, summary, step, apply }: Change): Command {
  return {
    name: `sagas ${word}`,
    summary,
    parameters: step ? ['ID', 'STEP'] : ['ID'],
    options: {},
    changes: true,
    async run(call): Promise<Output> {
      const change = await call.atDesk((desk) => apply(desk, call));
      const { sagaId, before, after } = change;
      return { text: `${word}: saga ${sagaId} was ${before}, is ${after}`, json: change };
    },
  };
}

export const SAGA_COMMANDS: readonly Command[] = [list, show, ...CHANGES.map(commandOf)];
