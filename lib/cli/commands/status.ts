import { auditQueryOf } from '../../admin/text-fields.js';
import { isPendingCut, MOST_COUNTED } from '../../persistence/typeorm/outbox-counts.js';
import type { Command, Desk } from '../command.js';
import { facts, table } from '../table.js';

const status: Command = {
  name: 'status',
  summary: 'what is stuck: sagas, events, and sagas that no worker can run',
  parameters: [],
  options: {},
  changes: false,
  async run(call) {
    const found = await call.atDesk(look);
    const { sagas, outbox, stranded, cut } = found;
    const counts = Object.entries(sagas).map(([name, n]) => [`sagas ${name}`, counted(n, cut.sagas)]);
    const events = Object.entries(outbox).map(([destination, it]) => [
      ...[destination, counted(it.pending, cut.events), Math.round(it.oldestAgeMs / 1_000)],
      ...[counted(it.retrying, cut.trouble), counted(it.dead, cut.trouble)],
    ]);
    const lost = stranded.map(({ name, version, count, since }) => [
      `${name} v${version}`,
      counted(count, cut.stranded),
      since,
    ]);
    const parts = [
      facts(Object.fromEntries(counts) as Record<string, string>),
      events.length === 0
        ? 'no events wait'
        : table(['destination', 'pending', 'oldest s', 'retrying', 'dead'], events),
      ...(lost.length === 0 ? [] : [table(['saga without worker', 'count', 'since'], lost)]),
    ];
    return { text: parts.join('\n\n'), json: found };
  },
};

/** Nothing is counted without end, so that a look costs little when much is wrong. */
function counted(n: number, isCut: boolean): string {
  return isCut ? `at least ${n}` : String(n);
}

function sumOf(counts: readonly number[]): number {
  return counts.reduce((sum, n) => sum + n, 0);
}

async function look({ outbox, ...desk }: Desk) {
  const { failed, parked } = await desk.sagaNumbers();
  const { pending, oldestAgeMs, lag, retrying, dead } = await outbox.numbers();
  const destinations = new Set([pending, retrying, dead].flatMap((it) => [...it.keys()]));
  const byDestination = [...destinations].map((name) => {
    const of = (numbers: ReadonlyMap<string, number>) => numbers.get(name) ?? 0;
    const numbers = {
      pending: of(pending),
      oldestAgeMs: of(oldestAgeMs),
      retrying: of(retrying),
      dead: of(dead),
    };
    return [name, numbers] as const;
  });
  const stranded = await desk.stranded();
  return {
    sagas: { failed, parked },
    outbox: Object.fromEntries(byDestination),
    stranded,
    /** Which of these numbers may be too small. */
    cut: {
      sagas: failed + parked >= MOST_COUNTED,
      events: isPendingCut(lag),
      trouble: [retrying, dead].some((it) => sumOf([...it.values()]) >= MOST_COUNTED),
      stranded: sumOf(stranded.map(({ count }) => count)) >= MOST_COUNTED,
    },
  };
}

const audit: Command = {
  name: 'audit',
  summary: 'what operators did, the latest first',
  parameters: [],
  options: {
    target: { value: 'ID', help: 'id of a saga' },
    'by-actor': { value: 'NAME', help: 'who' },
    action: { value: 'ACTION', help: 'such as retry or requeue' },
    limit: { value: 'N', help: 'from 1 to 500, default 50' },
    before: { value: 'ID', help: 'only those before this action' },
  },
  changes: false,
  async run(call) {
    const { byActor: actor, ...fields } = call.fields;
    const query = auditQueryOf({ ...fields, actor });
    const actions = await call.atDesk(({ sagas }) => sagas.audit(query));
    const rows = actions.map(({ id, at, actor: who, action, target, before, after, reason }) => [
      ...[id, at, who, action, target, textOf(before), textOf(after), reason],
    ]);
    const headings = ['id', 'at', 'actor', 'action', 'target', 'before', 'after', 'reason'];
    return { text: rows.length === 0 ? 'no actions' : table(headings, rows), json: { actions } };
  },
};

function textOf(of: Readonly<Record<string, string | number>> | null): string {
  return Object.entries(of ?? {})
    .map(([name, value]) => `${name}=${value}`)
    .join(' ');
}

export const STATUS_COMMANDS: readonly Command[] = [status, audit];
