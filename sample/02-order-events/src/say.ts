/** A line of what a service does. */
export function say(who: string, text: string): void {
  process.stdout.write(`  ${who.padEnd(8)} ${text}\n`);
}
