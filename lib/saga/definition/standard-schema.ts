import { show, type Reader } from '../../runtime/readers.js';
import { SagaInputError, type InputIssue } from '../state/errors.js';

/**
 * What a schema of zod, valibot, arktype and others can be asked, whichever library made it: the part of Standard Schema
 * v1 (https://standardschema.dev) that is needed here. `Input` is what it takes, `Output` what it makes of it.
 */
export interface StandardSchema<Input = unknown, Output = Input> {
  readonly '~standard': {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => Validated<Output> | Promise<Validated<Output>>;
    /** Never there at run time. */
    readonly types?: { readonly input: Input; readonly output: Output } | undefined;
  };
}

type Validated<Output> =
  { readonly value: Output; readonly issues?: undefined } | { readonly issues: readonly SchemaIssue[] };

interface SchemaIssue {
  readonly message: string;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** A longer list helps nobody, and may be as long as the input. */
const SHOWN_ISSUES = 10;

/** Reads the option `input`. */
export function standardSchema(): Reader<StandardSchema | undefined> {
  return (value, place) => {
    if (value === undefined || isStandardSchema(value)) return value;
    place.fault(
      `expected a schema with "~standard".validate (https://standardschema.dev), got ${show(value)}`,
    );
    return undefined;
  };
}

function isStandardSchema(value: unknown): value is StandardSchema {
  const { '~standard': standard } = (value ?? {}) as { '~standard'?: { validate?: unknown } | null };
  return typeof standard?.validate === 'function';
}

/**
 * What the schema makes of the input of a saga. What the schema itself throws passes through.
 * @param saga its name, for messages
 * @throws SagaInputError with every issue; the message holds ten, and nothing of the input but what the schema tells
 */
export async function validInput(saga: string, schema: StandardSchema, input: unknown): Promise<unknown> {
  const result = await schema['~standard'].validate(input);
  if (!result.issues) return result.value;
  const issues = result.issues.map(({ message, path = [] }) => ({ path: pathText(path), message }));
  throw new SagaInputError(`saga "${saga}": ${textOf(issues)}`, issues);
}

function pathText(path: NonNullable<SchemaIssue['path']>): string {
  const keys = path.map((segment) => String(typeof segment === 'object' ? segment.key : segment));
  return ['input', ...keys].join('.');
}

function textOf(issues: readonly InputIssue[]): string {
  if (issues.length === 0) return 'input: refused by its schema';
  const shown = issues.slice(0, SHOWN_ISSUES).map(({ path, message }) => `${path}: ${message}`);
  const more = issues.length - shown.length;
  return [...shown, ...(more > 0 ? [`and ${more} more`] : [])].join('; ');
}
