import { buildDefinition } from '../../../lib/saga/definition/build-definition.js';
import { CompensationGraph, type CompensatedStep } from '../../../lib/saga/definition/compensation-graph.js';
import type { SagaDraft } from '../../../lib/saga/definition/saga-draft.js';
import { SAGA_DEFAULTS } from '../../../lib/saga/definition/saga-options.js';

type Edges = Readonly<Record<string, readonly string[]>>;

/** Steps by their dependencies; those named in `undos` have a compensation, with edges of its own or derived ones. */
function graphOf(
  steps: Edges,
  undos: Readonly<Record<string, readonly string[] | undefined>>,
): CompensationGraph {
  return new CompensationGraph(
    Object.entries(steps).map(([name, dependsOn]): CompensatedStep => ({
      name,
      dependsOn,
      compensation: name in undos ? { after: undos[name] } : undefined,
    })),
  );
}

const edges = (graph: CompensationGraph) =>
  Object.fromEntries(graph.nodes.map(({ step, after }) => [step, after]));

describe('the compensation graph', () => {
  it('unwinds a line in reverse order', () => {
    const line = graphOf({ a: [], b: ['a'], c: ['b'] }, { a: undefined, b: undefined, c: undefined });
    expect(edges(line)).toEqual({ a: ['b'], b: ['c'], c: [] });
    expect([...line.predecessors('a')]).toEqual(['b', 'c']);
  });

  it('lets independent undos run at the same time', () => {
    const diamond = graphOf(
      { a: [], b: ['a'], c: ['a'], d: ['b', 'c'] },
      { a: undefined, b: undefined, c: undefined, d: undefined },
    );
    expect(edges(diamond)).toEqual({ a: ['b', 'c'], b: ['d'], c: ['d'], d: [] });
    expect(diamond.predecessors('b').has('c')).toBe(false);
  });

  it('keeps the order of the neighbours of steps without a compensation', () => {
    const graph = graphOf({ a: [], x: ['a'], y: ['x'], b: ['y'] }, { a: undefined, b: undefined });
    expect(edges(graph)).toEqual({ a: ['b'], b: [] });
  });

  it('gives an undo edges of its own, also against the derived order', () => {
    const graph = graphOf(
      { reserve: [], x: ['reserve'], charge: ['x'] },
      { reserve: undefined, charge: ['reserve'] },
    );
    expect(edges(graph)).toEqual({ reserve: [], charge: ['reserve'] });
  });

  it('is drawn with an arrow from an undo to the one that follows', () => {
    const graph = graphOf({ a: [], 'b "x"': ['a'] }, { a: undefined, 'b "x"': undefined });
    expect(graph.toMermaid().split('\n')).toEqual([
      'flowchart LR',
      '  s0["undo a"]',
      '  s1["undo b #quot;x#quot;"]',
      '  s1 --> s0',
    ]);
  });
});

describe('an undo with edges of its own', () => {
  const step = (name: string, dependsOn: readonly string[]) => ({
    ...{ name, dependsOn, options: {}, handler: () => undefined, probe: undefined, foreign: false },
    place: `Trip.${name}`,
  });
  const undo = (name: string, after?: readonly string[]) => ({
    ...{ step: name, after, options: {}, handler: () => undefined, place: `Trip.${name}Undo` },
  });
  const build = (compensations: SagaDraft['compensations']) =>
    buildDefinition(
      {
        ...{ name: 'trip', version: 1, place: 'Trip', options: {} },
        steps: [step('a', []), step('b', ['a']), step('c', ['b'])],
        compensations,
      },
      SAGA_DEFAULTS,
    ).faults.map(({ kind, message }) => `${kind} ${message}`);

  it('refuses to boot when it names a step without a compensation', () => {
    expect(build([undo('a'), undo('b', ['aa'])])).toEqual([
      'UNKNOWN_DEPENDENCY Trip.bUndo: after names "aa", which has no compensation; did you mean "a"?',
    ]);
  });

  it('refuses to boot when undos wait for each other in a circle, naming their methods', () => {
    expect(build([undo('a'), undo('b'), undo('c', ['a'])])).toEqual([
      'CYCLE Trip: the undos wait for each other: Trip.aUndo -> Trip.bUndo -> Trip.cUndo -> Trip.aUndo; give more of them an after',
    ]);
    expect(build([undo('a'), undo('b', ['a']), undo('c', ['b'])])).toEqual([]);
  });
});
