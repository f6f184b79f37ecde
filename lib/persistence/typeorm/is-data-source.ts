import { DataSource } from 'typeorm';

export function isDataSource(value: unknown): value is DataSource {
  return value instanceof DataSource;
}
