import type { GraphNode } from './step-graph.js';
import { mermaid } from './mermaid.js';

/** What the compensation graph is made from: a step, and whether and after what its undo runs. */
export interface CompensatedStep extends GraphNode {
  /** Undefined for a step without a compensation: it is transparent. */
  readonly compensation: { readonly after: readonly string[] | undefined } | undefined;
}

/** One undo. */
export class CompensationNode {
  constructor(
    /** The step it undoes. */
    readonly step: string,
    /** Steps whose undos must have ended before this one starts. */
    readonly after: readonly string[],
  ) {}
}

/**
 * In which order the undos of a saga run: by default the reverse of its steps, so that a line unwinds backwards and
 * independent undos run at the same time. A step without a compensation is transparent: order still holds between its
 * neighbours. `after` gives an undo edges of its own, which replace the derived ones, also those that lead the other
 * way.
 */
export class CompensationGraph {
  readonly nodes: readonly CompensationNode[];
  private readonly direct: ReadonlyMap<string, readonly string[]>;
  private readonly before = new Map<string, ReadonlySet<string>>();

  constructor(steps: readonly CompensatedStep[]) {
    this.nodes = derive(steps);
    this.direct = new Map(this.nodes.map(({ step, after }) => [step, after]));
    for (const { step } of this.nodes) this.before.set(step, reachable(step, this.direct));
  }

  /** Steps whose undos the undo of this one follows directly. */
  after(step: string): readonly string[] {
    return this.direct.get(step) ?? [];
  }

  /** Every step whose undo must have ended before that of this step starts, near and far. */
  predecessors(step: string): ReadonlySet<string> {
    return this.before.get(step) ?? new Set();
  }

  /** Mermaid text of the graph: an arrow leads from an undo to the one that follows it. */
  toMermaid(): string {
    const edges = this.nodes.flatMap(({ step, after }) => after.map((earlier) => [earlier, step] as const));
    return mermaid(
      this.nodes.map(({ step }) => ({ name: step, label: `undo ${step}` })),
      edges,
    );
  }
}

function derive(steps: readonly CompensatedStep[]): readonly CompensationNode[] {
  const compensated = steps.filter(({ compensation }) => compensation !== undefined);
  const explicit = new Map(compensated.map(({ name, compensation }) => [name, compensation?.after]));
  return compensated.map(({ name, compensation }) => {
    if (compensation?.after) return new CompensationNode(name, compensation.after);
    const next = nextCompensated(name, steps);
    return new CompensationNode(
      name,
      next.filter((other) => !explicit.get(other)?.includes(name)),
    );
  });
}

/** The nearest steps with a compensation that depend on this one. */
function nextCompensated(
  name: string,
  steps: readonly CompensatedStep[],
  seen = new Set<string>(),
): string[] {
  const found: string[] = [];
  for (const step of steps.filter(({ dependsOn }) => dependsOn.includes(name))) {
    if (seen.has(step.name)) continue;
    seen.add(step.name);
    found.push(...(step.compensation ? [step.name] : nextCompensated(step.name, steps, seen)));
  }
  return found;
}

function reachable(from: string, direct: ReadonlyMap<string, readonly string[]>, found = new Set<string>()) {
  for (const name of direct.get(from) ?? []) {
    if (found.has(name)) continue;
    found.add(name);
    reachable(name, direct, found);
  }
  return found;
}
