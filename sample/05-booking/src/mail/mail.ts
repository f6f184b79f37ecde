import { Injectable } from '@nestjs/common';

/** Stands for a mail provider: it takes the same key once. */
@Injectable()
export class Mail {
  private readonly sent = new Set<string>();

  send(key: string, text: string): Promise<void> {
    if (!this.sent.has(key)) process.stdout.write(`  mail    ${text}\n`);
    this.sent.add(key);
    return Promise.resolve();
  }
}
