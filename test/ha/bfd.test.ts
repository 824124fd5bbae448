import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  type BfdAction,
  type BfdEvent,
  type BfdSession,
  type BfdSettings,
  type BfdStep,
  beginBfd,
  detectionUs,
  refusal,
  sealBfd,
  stepBfd,
} from '../../dist/ha/bfd.js';
import { type BfdPacket, decodeBfd, encodeBfd } from '../../dist/wire/bfd.js';

const settings = (discriminator: number, more: Partial<BfdSettings> = {}): BfdSettings => ({
  desiredMinTxUs: 50_000,
  requiredMinRxUs: 50_000,
  detectMultiplier: 3,
  discriminator,
  auth: null,
  firstSequence: 100,
  ...more,
});

/** One end, driven as native code would drive it, by a clock that the test moves. */
class End {
  session: BfdSession;
  readonly changes: string[] = [];
  readonly discarded: string[] = [];
  readonly sentAtUs: number[] = [];
  deliver: (bytes: Uint8Array) => void = () => {};
  #sequence: number;
  #template: BfdPacket | null = null;
  #intervalUs: number | null = null;
  #nextUs = Number.POSITIVE_INFINITY;
  #silentAtUs = Number.POSITIVE_INFINITY;
  nowUs = 0;
  heardSequence: number | null = null;

  constructor(
    own: BfdSettings,
    readonly random: () => number,
  ) {
    this.#sequence = own.firstSequence;
    const { session, actions } = beginBfd(own);
    this.session = session;
    this.#perform(actions);
  }

  get nextUs(): number {
    return Math.min(this.#nextUs, this.#silentAtUs);
  }

  at(nowUs: number): void {
    this.nowUs = nowUs;
    if (this.#silentAtUs <= nowUs) {
      this.#silentAtUs = Number.POSITIVE_INFINITY;
      this.post({ kind: 'silent' });
    }
    if (this.#nextUs <= nowUs && this.#template !== null) {
      this.#send(this.#template);
      this.#schedule();
    }
  }

  hear(bytes: Uint8Array): void {
    const packet = decodeBfd(bytes);
    if (!packet.ok) throw new Error(packet.reason);
    const refused = refusal(this.session.settings, this.heardSequence, packet.value, bytes);
    if (refused !== null) {
      this.discarded.push(refused);
      return;
    }
    this.heardSequence = packet.value.auth?.sequence ?? null;
    this.post({ kind: 'received', packet: packet.value });
    this.#rewind();
  }

  post(event: BfdEvent): void {
    this.#take(stepBfd(this.session, event));
  }

  #take({ session, actions }: BfdStep): void {
    this.session = session;
    this.#perform(actions);
  }

  #perform(actions: readonly BfdAction[]): void {
    for (const action of actions) {
      switch (action.kind) {
        case 'transmit':
          this.#template = action.packet;
          this.#intervalUs = action.intervalUs;
          if (action.intervalUs === null) this.#nextUs = Number.POSITIVE_INFINITY;
          else this.#nextUs = this.nowUs;
          break;
        case 'send':
          this.#send(action.packet);
          break;
        case 'expect':
          this.#rewind();
          break;
        case 'changed':
          this.changes.push(`${action.from} → ${action.to}: ${action.diagnostic}`);
      }
    }
  }

  #rewind(): void {
    const silence = detectionUs(this.session);
    this.#silentAtUs = silence === null ? Number.POSITIVE_INFINITY : this.nowUs + silence;
  }

  #send(template: BfdPacket): void {
    this.sentAtUs.push(this.nowUs);
    const { auth } = template;
    const packet = auth === null ? template : { ...template, auth: { ...auth, sequence: this.#sequence++ } };
    this.deliver(sealBfd(packet, this.session.settings.auth?.key ?? null));
  }

  #schedule(): void {
    const least = this.session.settings.detectMultiplier === 1 ? 0.1 : 0;
    const shortened = least + this.random() * (0.25 - least);
    this.#nextUs = this.nowUs + (this.#intervalUs ?? 0) * (1 - shortened);
  }
}

function pair(
  one: BfdSettings,
  two: BfdSettings,
  options: { loses?: (from: 'a' | 'b') => boolean; random?: () => number } = {},
) {
  const random = options.random ?? (() => 0.5);
  const a = new End(one, random);
  const b = new End(two, random);
  const wire: { to: End; bytes: Uint8Array }[] = [];
  a.deliver = (bytes) => wire.push({ to: b, bytes });
  b.deliver = (bytes) => wire.push({ to: a, bytes });
  const link = { isUp: true };
  let nowUs = 0;
  const until = (endUs: number) => {
    for (;;) {
      const next = Math.min(a.nextUs, b.nextUs);
      if (next > endUs) break;
      nowUs = Math.max(nowUs, next);
      for (const end of [a, b]) end.at(nowUs);
      for (let message = wire.shift(); message !== undefined; message = wire.shift()) {
        message.to.nowUs = nowUs;
        if (link.isUp && !options.loses?.(message.to === b ? 'a' : 'b')) message.to.hear(message.bytes);
      }
    }
    nowUs = endUs;
  };
  return { a, b, until, link, later: (us: number) => until(nowUs + us) };
}

describe('a pair of sessions', () => {
  it('comes up by the three-way handshake, then sends at the interval that both agreed to', () => {
    const { a, b, until } = pair(settings(1), settings(2, { requiredMinRxUs: 80_000 }));
    until(3_000_000);
    expect(a.changes).toContain('Init → Up: none');
    expect([a.session.state, b.session.state]).toEqual(['Up', 'Up']);
    expect([a.session.polling, b.session.polling]).toEqual([false, false]);
    const before = a.sentAtUs.length;
    until(4_000_000);
    // 80 ms, less the eighth that the middle of the jitter takes off
    expect(a.sentAtUs.length - before).toBeCloseTo(1_000_000 / 70_000, -0.5);
    expect(detectionUs(a.session)).toBe(3 * 50_000);
    expect(detectionUs(b.session)).toBe(3 * 80_000);
  });

  it('goes down when nothing comes for the detection time, and up again when the link is back', () => {
    const { a, b, later, link } = pair(settings(1), settings(2));
    later(3_000_000);
    link.isUp = false;
    later(149_000 - 50_000);
    expect(a.session.state).toBe('Up');
    later(51_000 + 50_000);
    expect(a.session).toMatchObject({ state: 'Down', diagnostic: 'detection time expired', downs: 1 });
    expect(a.session.remote.discriminator).toBe(0);
    link.isUp = true;
    later(4_000_000);
    expect([a.session.state, b.session.state]).toEqual(['Up', 'Up']);
    expect(a.session.diagnostic).toBe('none');
  });

  it('tells the other end of an administrator’s will, and stays down until he wants it up', () => {
    const { a, b, later } = pair(settings(1), settings(2));
    later(3_000_000);
    a.post({ kind: 'admin', up: false });
    later(2_000_000);
    expect(a.session.state).toBe('AdminDown');
    expect(b.session).toMatchObject({ state: 'Down', diagnostic: 'neighbour signalled down' });
    a.post({ kind: 'admin', up: true });
    later(4_000_000);
    expect([a.session.state, b.session.state]).toEqual(['Up', 'Up']);
  });

  it('changes its parameters by a poll without a flap: slower sending and longer waiting only once it is answered', () => {
    const { a, b, later } = pair(settings(1), settings(2));
    later(3_000_000);
    a.post({
      kind: 'parameters',
      parameters: { desiredMinTxUs: 500_000, requiredMinRxUs: 10_000, detectMultiplier: 5 },
    });
    expect(a.session.polling).toBe(true);
    expect(a.session.inForce).toEqual({ desiredMinTxUs: 50_000, requiredMinRxUs: 50_000 });
    later(200_000);
    expect(a.session.polling).toBe(false);
    expect(a.session.inForce).toMatchObject({ desiredMinTxUs: 500_000, requiredMinRxUs: 10_000 });
    later(5_000_000);
    expect(b.session).toMatchObject({ state: 'Up', downs: 0 });
    expect(detectionUs(b.session)).toBe(5 * 500_000);
  });

  it('is quiet when the other end wants to hear nothing, and never more often than once a second while it is down', () => {
    const { a, later } = pair(settings(1), settings(2, { requiredMinRxUs: 0 }), { loses: () => false });
    later(1_000_000);
    const before = a.sentAtUs.length;
    later(5_000_000);
    expect(a.sentAtUs.length).toBe(before);
    const alone = new End(settings(3), () => 0.99);
    for (let now = 0; now < 10_000_000; now = alone.nextUs) alone.at(now);
    for (let i = 1; i < alone.sentAtUs.length; i++)
      expect(alone.sentAtUs[i]! - alone.sentAtUs[i - 1]!).toBeGreaterThanOrEqual(750_000);
  });

  it('never flaps while fewer packets in a row are lost than the multiplier says, whatever the jitter', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2 ** 31 }), (seed) => {
        let state = seed;
        // some jitter: without any, the third packet comes at the very moment of the detection time
        const draw = () => {
          state = (Math.imul(state, 1_103_515_245) + 12_345) & 0x7fffffff;
          return 0.01 + (0.98 * (state >>> 8)) / 2 ** 23;
        };
        const lost = { a: 0, b: 0 };
        let canLose = false;
        const loses = (from: 'a' | 'b') => {
          lost[from] = canLose && lost[from] < 2 && draw() < 0.4 ? lost[from] + 1 : 0;
          return lost[from] > 0;
        };
        const { a, b, later } = pair(settings(1), settings(2), { loses, random: draw });
        later(4_000_000);
        canLose = true;
        later(20_000_000);
        expect([a.session.downs, b.session.downs]).toEqual([0, 0]);
      }),
      { numRuns: 20 },
    );
  });
});

describe('authentication', () => {
  const auth = { keyId: 7, key: new TextEncoder().encode('a key of ours'), isMeticulous: true };

  it('by meticulous keyed SHA1 lets a pair come up', () => {
    const { a, b, until } = pair(settings(1, { auth }), settings(2, { auth }));
    until(5_000_000);
    expect([a.session.state, b.session.state]).toEqual(['Up', 'Up']);
    expect(a.discarded).toEqual([]);
  });

  it.each([
    ['another key', { ...auth, key: new TextEncoder().encode('another key') }],
    ['another key-id', { ...auth, keyId: 8 }],
    ['another type', { ...auth, isMeticulous: false }],
    ['none', null],
  ])('with %s is refused', (_, other) => {
    const { a, b, until } = pair(settings(1, { auth }), settings(2, { auth: other }));
    until(5_000_000);
    expect([a.session.state, b.session.state]).toEqual(['Down', 'Down']);
    expect(a.discarded).toContain('bfd_auth');
    expect(a.heardSequence).toBeNull();
  });

  it('refuses a packet that came before, and one with any bit turned', () => {
    const heard: Uint8Array[] = [];
    const { a, b, until } = pair(settings(1, { auth }), settings(2, { auth }));
    const { deliver } = b;
    b.deliver = (bytes) => {
      heard.push(bytes);
      deliver(bytes);
    };
    until(5_000_000);
    const { state } = a.session;
    a.hear(heard.at(-1)!);
    expect(a.discarded).toEqual(['bfd_auth']);
    const last = heard.at(-1)!;
    for (let bit = 0; bit < last.length * 8; bit++) {
      const forged = last.slice();
      forged[bit >> 3]! ^= 1 << (bit & 7);
      const packet = decodeBfd(forged);
      if (!packet.ok) continue;
      expect(refusal(a.session.settings, a.heardSequence, packet.value, forged)).not.toBeNull();
    }
    expect(a.session.state).toBe(state);
  });
});

describe('packets', () => {
  const packet: BfdPacket = {
    state: 'Up',
    diagnostic: 'path down',
    poll: true,
    final: false,
    controlPlaneIndependent: true,
    demand: false,
    detectMultiplier: 3,
    myDiscriminator: 0x01020304,
    yourDiscriminator: 0xfffefdfc,
    desiredMinTxUs: 30_000,
    requiredMinRxUs: 50_000,
    requiredMinEchoRxUs: 0,
    auth: null,
  };

  it('lie as RFC 5880 §4.1 draws them', () => {
    const hex = '25e80318' + '01020304' + 'fffefdfc' + '00007530' + '0000c350' + '00000000';
    expect(Buffer.from(encodeBfd(packet)).toString('hex')).toBe(hex);
    expect(decodeBfd(encodeBfd(packet))).toEqual({ ok: true, value: packet });
  });

  it.each([
    ['cut short', (bytes: Uint8Array) => bytes.subarray(0, 23)],
    ['of another version', (bytes: Uint8Array) => bytes.fill(0x45, 0, 1)],
    ['longer than what came', (bytes: Uint8Array) => bytes.fill(25, 3, 4)],
    ['shorter than its header', (bytes: Uint8Array) => bytes.fill(23, 3, 4)],
    ['with a multiplier of 0', (bytes: Uint8Array) => bytes.fill(0, 2, 3)],
    ['multipoint', (bytes: Uint8Array) => bytes.fill(bytes[1]! | 1, 1, 2)],
    ['without a discriminator', (bytes: Uint8Array) => bytes.fill(0, 4, 8)],
    ['up, and to nobody', (bytes: Uint8Array) => bytes.fill(0, 8, 12)],
    ['said to be authenticated, and not', (bytes: Uint8Array) => bytes.fill(bytes[1]! | 4, 1, 2)],
  ])('%s are refused', (_, spoil) => {
    expect(decodeBfd(spoil(encodeBfd(packet)))).toEqual({ ok: false, reason: 'bad_bfd' });
  });

  it('of any bytes are read without a fault', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        const result = decodeBfd(bytes);
        if (result.ok) expect(decodeBfd(encodeBfd(result.value)).ok).toBe(true);
      }),
    );
  });
});
