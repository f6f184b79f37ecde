/** Texts come from events, errors and arguments: nothing of them may steer a terminal. */
export function plain(text: string): string {
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f]+/g, ' ');
}

/** JSON with every character that could steer a terminal escaped: `JSON.stringify` leaves those from U+007F on as they are. */
export function plainJson(of: unknown): string {
  const escaped = (character: string) => `\\u00${character.charCodeAt(0).toString(16)}`;
  return JSON.stringify(of).replaceAll(/[\u007f-\u009f]/g, escaped);
}
