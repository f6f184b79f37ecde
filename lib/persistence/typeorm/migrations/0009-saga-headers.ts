import type { Tables } from '../identifiers.js';
import type { Migration } from './migration.js';

/** The headers that a saga was started with: the trace that it belongs to. An older process starts sagas without any. */
const statements = (t: Tables) => [`ALTER TABLE ${t.payload} ADD COLUMN headers text`];

export const sagaHeaders: Migration = {
  version: 9,
  name: 'saga-headers',
  breaking: false,
  sql: statements,
};
