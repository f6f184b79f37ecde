import { getDataSourceToken } from '@nestjs/typeorm';
import { DataSource } from 'typeorm';

/** Injection token of the application's DataSource of that name, or of its unnamed one. */
export function dataSourceToken(name: string | undefined) {
  return getDataSourceToken(name);
}

export function isDataSource(value: unknown): value is DataSource {
  return value instanceof DataSource;
}
