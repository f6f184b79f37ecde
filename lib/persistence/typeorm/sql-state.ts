/** The SQLSTATE of an error of the database, through TypeORM's wrapper; undefined for any other error. */
export function sqlStateOf(error: unknown): string | undefined {
  const { driverError, code } = (error ?? {}) as { driverError?: { code?: unknown }; code?: unknown };
  const state = driverError?.code ?? code;
  return typeof state === 'string' && /^[0-9A-Z]{5}$/.test(state) ? state : undefined;
}

/** The transaction may simply be tried again. */
export function isTransient(error: unknown): boolean {
  const state = sqlStateOf(error);
  return state === '40001' || state === '40P01';
}

/** The server answered with a refusal, so what was asked for did not happen; else the connection broke. */
export function isRefusal(error: unknown): boolean {
  const state = sqlStateOf(error);
  return state !== undefined && !state.startsWith('08') && !state.startsWith('57');
}

/** A lock was not to be had in time. */
export function isLockTimeout(error: unknown): boolean {
  return sqlStateOf(error) === '55P03';
}

/** Nothing is wrong with the statement: no connection, no room, or a standby that is not promoted yet. */
export function isOutage(error: unknown): boolean {
  const state = sqlStateOf(error) ?? '';
  return !isRefusal(error) || state.startsWith('53') || state === '25006';
}
