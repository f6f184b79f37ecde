/** Name and version of a saga definition. */
export interface SagaVersion {
  readonly name: string;
  readonly version: number;
}
