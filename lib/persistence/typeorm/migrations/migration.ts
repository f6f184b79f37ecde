import type { Tables } from '../identifiers.js';

/** One step of the schema. Additive: an older process goes on working beside a newer one, unless it is `breaking`. */
export interface Migration {
  readonly version: number;
  readonly name: string;
  /** Processes that do not know this migration must not run on the schema. */
  readonly breaking: boolean;
  /** Statements without parameters. */
  sql(tables: Tables): readonly string[];
}
