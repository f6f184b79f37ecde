/** What a route takes and answers, in the words of OpenAPI. */
export interface RouteDocument {
  readonly summary: string;
  /** Names and meanings of what may stand in the query. */
  readonly query?: Readonly<Record<string, string>>;
  /** The same for the fields of the body. */
  readonly body?: Readonly<Record<string, string>>;
  /** Fields of the body that must be there. */
  readonly required?: readonly string[];
  /** Statuses and when they are answered. */
  readonly answers: Readonly<Record<number, string>>;
}

/** Fields that may be given several times. */
export const LISTS: ReadonlySet<string> = new Set(['eventIds', 'tag', 'status']);

function schemaOf(field: string) {
  return LISTS.has(field) ? { type: 'array', items: { type: 'string' } } : { type: 'string' };
}

/**
 * Documents a route for `@nestjs/swagger`, under the keys that its decorators use: an application that has it finds the
 * routes in its document, and one that has not needs nothing. A test builds the document.
 */
export function Documented({
  summary,
  query = {},
  body,
  required = [],
  answers,
}: RouteDocument): MethodDecorator {
  const parameters: object[] = Object.entries(query).map(([name, description]) => {
    return { in: 'query', name, description, required: false, schema: schemaOf(name) };
  });
  if (body) {
    const properties = Object.entries(body).map(([name, description]) => [
      name,
      { ...schemaOf(name), description },
    ]);
    const schema = { type: 'object', properties: Object.fromEntries(properties) as object, required };
    parameters.push({ in: 'body', type: String, required: required.length > 0, schema });
  }
  const responses = Object.entries(answers).map(([status, description]) => [status, { description }]);
  return (_target, _key, descriptor) => {
    const method = descriptor.value as object;
    Reflect.defineMetadata('swagger/apiOperation', { summary }, method);
    Reflect.defineMetadata('swagger/apiParameters', parameters, method);
    Reflect.defineMetadata('swagger/apiResponse', Object.fromEntries(responses), method);
  };
}

/** The group of its routes in the document. */
export function tagged(controller: object): void {
  Reflect.defineMetadata('swagger/apiUseTags', ['sagaz'], controller);
}
