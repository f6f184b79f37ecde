import { spanning, Tracing, type OpenSpan, type Tracer } from '../../lib/runtime/tracing.js';
import { isSampled, traceIdOf } from '../../lib/runtime/trace-parent.js';

const START = { name: 'step a', attributes: {} };
const TRACE = '0af7651916cd43dd8448eb211c80319c';
const traceparent = `00-${TRACE}-b7ad6b7169203331-01`;

function fail(): never {
  throw new Error('the tracer is broken');
}

/** A tracer that breaks in one place. */
function tracerWith(broken: Partial<OpenSpan>): Tracer {
  const span: OpenSpan = {
    ...{ headers: {}, recorded: true, child: () => span },
    ...{ run: (work) => work(), end: () => undefined },
  };
  const parts = Object.getOwnPropertyDescriptors(broken);
  return { active: () => ({}), begin: () => Object.defineProperties({ ...span }, parts) };
}

/** Each is a tracer that fails in another way. */
const BROKEN: Record<string, Tracer> = {
  'cannot begin': { active: fail, begin: fail },
  'cannot run': tracerWith({ run: fail }),
  'fails after it has run': tracerWith({
    run: (work) => {
      work();
      return fail();
    },
  }),
  'runs nothing': tracerWith({ run: () => undefined as never }),
  'runs twice': tracerWith({
    run: (work) => {
      work();
      return work();
    },
  }),
  'has no children': tracerWith({ child: fail }),
  'cannot end': tracerWith({ end: fail }),
  'has no headers': tracerWith({
    get headers() {
      return fail();
    },
  }),
};

describe.each(Object.entries(BROKEN))('a tracer that %s', (_name, tracer) => {
  const tracing = new Tracing();
  tracing.use(tracer);

  it('changes nothing of the work, which is done once', async () => {
    let calls = 0;
    const work = () => {
      calls += 1;
      return Promise.resolve(7);
    };
    expect(await tracing.run(START, work)).toBe(7);
    expect(calls).toBe(1);
    expect(tracing.active()).toEqual({});
    expect(await spanning(tracing.begin(START).child(START), work)).toBe(7);
    expect(tracing.begin(START).headers).toEqual({});
  });

  it('changes nothing of what the work throws', async () => {
    const error = new Error('of the work');
    await expect(tracing.run(START, () => Promise.reject(error))).rejects.toBe(error);
    const now = () => {
      throw error;
    };
    await expect(tracing.run(START, now)).rejects.toBe(error);
  });
});

it('without a tracer, headers of a trace are carried on', () => {
  const parent = { traceparent };
  expect(new Tracing().begin({ ...START, parent }).headers).toBe(parent);
});

it('knows a trace by its headers', () => {
  expect(traceIdOf({ traceparent })).toBe(TRACE);
  expect([traceIdOf({}), traceIdOf(undefined), traceIdOf({ traceparent: 'x' })]).toEqual([
    undefined,
    undefined,
    undefined,
  ]);
  expect(isSampled(JSON.stringify({ traceparent }))).toBe(true);
  expect(isSampled(JSON.stringify({ traceparent: traceparent.replace(/1$/, '0') }))).toBe(false);
  expect(isSampled('{}')).toBe(false);
});
