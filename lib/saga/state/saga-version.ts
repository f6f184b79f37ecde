/** Name and version of a saga definition, and what its steps are. */
export interface SagaVersion {
  readonly name: string;
  readonly version: number;
  /** Of the steps, their order and their kinds (`hashOf`); undefined for a process that takes any of this version. */
  readonly hash?: string | undefined;
}
