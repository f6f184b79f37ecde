import { mermaid } from './mermaid.js';

export interface GraphNode {
  readonly name: string;
  readonly dependsOn: readonly string[];
}

/** Where a step stands to the pivot. Without a pivot every step is before it. */
export type Phase = 'before' | 'pivot' | 'after';

/** The steps of a saga and what follows what. Made only of nodes that were checked: known dependencies, no cycle. */
export class StepGraph {
  readonly names: readonly string[];
  /** Steps that wait for nothing. */
  readonly roots: readonly string[];
  private readonly indices: ReadonlyMap<string, number>;
  private readonly next = new Map<string, string[]>();
  private readonly direct: ReadonlyMap<string, readonly string[]>;
  private readonly before = new Map<string, ReadonlySet<string>>();
  private readonly after = new Map<string, Set<string>>();

  constructor(
    nodes: readonly GraphNode[],
    /** The point of no return. */
    readonly pivot: string | undefined,
  ) {
    this.direct = new Map(nodes.map(({ name, dependsOn }) => [name, dependsOn]));
    this.names = nodes.map((node) => node.name);
    this.roots = nodes.filter(({ dependsOn }) => dependsOn.length === 0).map(({ name }) => name);
    this.indices = new Map(this.names.map((name, index) => [name, index]));
    for (const name of this.names) this.after.set(name, new Set());
    for (const { name, dependsOn } of nodes) {
      for (const dependency of new Set(dependsOn)) {
        this.next.set(dependency, [...(this.next.get(dependency) ?? []), name]);
      }
    }
    for (const name of this.names) {
      const ancestors = this.collectAncestors(name);
      this.before.set(name, ancestors);
      for (const ancestor of ancestors) this.after.get(ancestor)?.add(name);
    }
  }

  /** Its place among `names`. */
  index(name: string): number | undefined {
    return this.indices.get(name);
  }

  dependencies(name: string): readonly string[] {
    return this.direct.get(name) ?? [];
  }

  /** Steps that wait for this one directly. */
  followers(name: string): readonly string[] {
    return this.next.get(name) ?? [];
  }

  /** Every step that must be completed before this one starts, near and far. */
  ancestors(name: string): ReadonlySet<string> {
    return this.before.get(name) ?? new Set();
  }

  /** Every step that starts only after this one is completed, near and far. */
  descendants(name: string): ReadonlySet<string> {
    return this.after.get(name) ?? new Set();
  }

  phase(name: string): Phase {
    if (name === this.pivot) return 'pivot';
    return this.pivot !== undefined && this.ancestors(name).has(this.pivot) ? 'after' : 'before';
  }

  /** Mermaid text of the graph, with the pivot drawn as a point of no return. @param label text of a step; default: its name */
  toMermaid(label = (name: string) => name): string {
    const edges = this.names.flatMap((name) => this.dependencies(name).map((it) => [it, name] as const));
    return mermaid(
      this.names.map((name) => ({ name, label: label(name), pivot: name === this.pivot })),
      edges,
    );
  }

  private collectAncestors(name: string, found = new Set<string>()): ReadonlySet<string> {
    for (const dependency of this.dependencies(name)) {
      if (found.has(dependency)) continue;
      found.add(dependency);
      this.collectAncestors(dependency, found);
    }
    return found;
  }
}

/** A way round in a circle, such as `['a', 'b', 'a']`, or undefined. */
export function findCycle(nodes: readonly GraphNode[]): readonly string[] | undefined {
  const byName = new Map(nodes.map((node) => [node.name, node]));
  const done = new Set<string>();
  const visit = (name: string, path: readonly string[]): readonly string[] | undefined => {
    if (path.includes(name)) return [...path.slice(path.indexOf(name)), name];
    if (done.has(name)) return undefined;
    for (const dependency of byName.get(name)?.dependsOn ?? []) {
      const cycle = visit(dependency, [...path, name]);
      if (cycle) return cycle;
    }
    done.add(name);
    return undefined;
  };
  for (const node of nodes) {
    const cycle = visit(node.name, []);
    if (cycle) return cycle;
  }
  return undefined;
}
