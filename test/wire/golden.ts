/** Reads test/vectors/packets.txt, which native/test/packet_test.cc reads too. */
import { readFileSync } from 'node:fs';

export const hex = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text, 'hex'));

export class Golden {
  readonly fields = new Map<string, string>();
  bytes: Uint8Array = new Uint8Array(0);

  constructor(readonly name: string) {}

  get drop(): string {
    return this.fields.get('drop') ?? '';
  }

  has(key: string): boolean {
    return this.fields.has(key);
  }

  number(key: string): number {
    return Number(this.fields.get(key));
  }

  text(key: string): string {
    return this.fields.get(key) ?? '';
  }
}

export function readGolden(): Golden[] {
  const packets: Golden[] = [];
  const file = new URL('../vectors/packets.txt', import.meta.url);
  for (const line of readFileSync(file, 'utf8').split('\n')) {
    const space = line.indexOf(' ');
    if (space < 0 || line.startsWith('#')) continue;
    const key = line.slice(0, space);
    const value = line.slice(space + 1);
    const last = packets.at(-1);
    if (key === 'packet') packets.push(new Golden(value));
    else if (key === 'hex') last!.bytes = Uint8Array.from([...last!.bytes, ...hex(value)]);
    else last!.fields.set(key, value);
  }
  return packets;
}

export const golden = (name: string): Golden => {
  const found = readGolden().find((packet) => packet.name === name);
  if (found === undefined) throw new Error(`no packet ${name}`);
  return found;
};
