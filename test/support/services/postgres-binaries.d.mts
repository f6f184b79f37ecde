export interface ServerAccount {
  readonly uid?: number;
  readonly gid?: number;
}

export function serverAccount(): ServerAccount;
export function findBinaries(
  account: ServerAccount,
): Promise<{ readonly initdb: string; readonly postgres: string }>;
