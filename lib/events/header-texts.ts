/** Headers that are texts, also where a transport gives them as bytes; others are left out. */
export function headerTexts(headers: unknown): Readonly<Record<string, string>> {
  const texts = Object.entries(Object(headers) as object).flatMap(([name, value]: [string, unknown]) =>
    typeof value === 'string' || Buffer.isBuffer(value) ? [[name, value.toString()] as const] : [],
  );
  return Object.fromEntries(texts);
}
