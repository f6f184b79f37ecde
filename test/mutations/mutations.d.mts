export interface Mutation {
  readonly name: string;
  readonly file: string;
  readonly from: string;
  readonly to: string;
  /** `from` stands in several places, and all are meant. */
  readonly all?: boolean;
  readonly suite: string;
}

export declare const MUTATIONS: readonly Mutation[];
