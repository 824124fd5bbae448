/** Wires that lose, repeat, reorder and forge. */
import { describe, expect, it } from 'vitest';
import { tuning } from '../../dist/config/limits.js';
import { ikeHeaderBytes } from '../../dist/wire/ike.js';
import {
  address,
  generator,
  hub,
  hubVpn,
  Lab,
  mismatches,
  type Packet,
  proposal,
  spoke,
  spokeVpn,
} from './support.js';

/** A wire that does what a seed says to each packet. */
function bad(seed: number, rates: { lose: number; repeat: number; hold: number }) {
  const random = generator(`wire ${seed}`);
  const held: Uint8Array[] = [];
  const chance = (rate: number) => random(1)[0]! < rate * 256;
  return ({ bytes }: Packet) => {
    if (chance(rates.lose)) return [];
    // comes later, behind another
    if (chance(rates.hold) && held.length === 0) {
      held.push(bytes);
      return [];
    }
    const out = [bytes, ...(chance(rates.repeat) ? [bytes] : [])];
    return out;
  };
}

const seeds = Array.from({ length: Number(process.env.PENSTOCK_IKE_SEEDS ?? 15) }, (_, i) => i);

describe('a bad wire', () => {
  it.each(seeds)('that loses a third, repeats a quarter: tunnels are set up and kept (seed %s)', (seed) => {
    const short = { proposals: [proposal({ lifetimeSeconds: 700 })] };
    const vpn = { proposals: [{ ...hubVpn.proposals[0]!, lifetimeSeconds: 300 }] };
    let wire: ((packet: Packet) => readonly Uint8Array[]) | null = bad(seed, {
      lose: 0.33,
      repeat: 0.25,
      hold: 0.05,
    });
    const lab = new Lab({
      seed: String(seed),
      left: { gateways: [{ ...spoke, ...short }], vpns: [{ ...spokeVpn, ...vpn }] },
      right: { gateways: [{ ...hub, ...short }], vpns: [{ ...hubVpn, ...vpn }] },
      wire: (packet) => (wire === null ? [packet.bytes] : wire(packet)),
    }).begin();
    lab.pass(1_500_000);
    wire = null;
    // whatever went wrong has come to an end: peers found dead, exchanges begun anew
    lab.pass(180_000);
    expect(mismatches(lab), `seed ${seed}`).toEqual([]);
    expect(lab.left.tunnels.size).toBe(1);
    expect(lab.left.up).toHaveLength(1);
    expect(lab.right.up).toHaveLength(1);
    expect(lab.left.engine.sas.size).toBeLessThanOrEqual(2);
  });

  it('that repeats everything later: answers are repeated, nothing happens twice', () => {
    const lab = new Lab().start();
    const before = { up: lab.right.happened('ike-sa-up').length, tunnels: lab.right.tunnels.size };
    for (const packet of [...lab.sent]) lab.deliver(packet);
    lab.run();
    expect({ up: lab.right.happened('ike-sa-up').length, tunnels: lab.right.tunnels.size }).toEqual({
      ...before,
      up: before.up,
    });
    lab.pass(tuning.ike.halfOpenMs + 1000);
    expect(lab.right.engine.sas.size).toBe(1);
    expect(mismatches(lab)).toEqual([]);
  });

  it('that reflects what it gets', () => {
    const lab = new Lab().start();
    for (const { from, to, path, bytes } of [...lab.sent])
      lab.deliver({ from: to, to: from, path: { ...path, local: path.remote, remote: path.local }, bytes });
    lab.run();
    expect(mismatches(lab)).toEqual([]);
    expect(lab.right.up).toHaveLength(1);
  });
});

describe('forged', () => {
  const clean = new Lab().start();
  const expected = clean.right.tunnels.size;

  // each byte of each message of an exchange, one at a time; what is not under a tag may at most keep it from happening
  it('every byte of every message, one at a time: no crash, and no SA but from what was agreed', () => {
    expect(expected).toBe(1);
    const step = Number(process.env.PENSTOCK_IKE_FLIP_STEP ?? 9);
    let refused = 0;
    clean.sent.forEach(({ bytes }, which) => {
      for (let at = 0; at < bytes.length; at += at < ikeHeaderBytes ? 1 : step) {
        let count = -1;
        const lab = new Lab({
          wire: (packet) => {
            count++;
            if (count !== which) return [packet.bytes];
            const copy = Uint8Array.from(packet.bytes);
            copy[at]! ^= 1 << (at % 8);
            return [copy];
          },
        }).begin();
        lab.run();
        const made = lab.right.tunnels.size + lab.left.tunnels.size;
        if (made === 0) refused++;
        // whoever has a tunnel has it with the real peer, whose identity authenticated
        for (const end of [lab.left, lab.right]) {
          for (const sa of end.up) expect(sa.peerIdentity).not.toBeNull();
          expect(end.tunnels.size).toBeLessThanOrEqual(1);
        }
        // AUTH is of the messages as they were sent: one that was changed in the clear never leads to a tunnel
        if (which < 2) expect(made, `message ${which}, byte ${at}`).toBe(0);
        if (made === 2) throw new Error(`message ${which}, byte ${at}: taken although it was changed`);
      }
    });
    expect(refused).toBeGreaterThan(100);
  }, 60_000);

  it('messages of the tunnel: dropped and counted, and it goes on', () => {
    const lab = new Lab().start();
    lab.ask(lab.left, { kind: 'probe' });
    lab.run();
    const probe = lab.sent.at(-2)!;
    const before = lab.right.count('authenticationTag');
    lab.ask(lab.left, { kind: 'probe' });
    const next = lab.packets.shift()!;
    for (let at = 16; at < next.bytes.length; at++) {
      const copy = Uint8Array.from(next.bytes);
      copy[at]! ^= 0x01;
      lab.deliver({ ...next, bytes: copy });
    }
    expect(lab.right.count('authenticationTag')).toBeGreaterThan(before + 20);
    lab.deliver(next);
    lab.run();
    expect(lab.left.up[0]!.asking).toBeNull();
    lab.deliver(probe);
    expect(mismatches(lab)).toEqual([]);
  });

  it('random bytes under a right tag end the SA at most', () => {
    const random = generator('noise');
    const lab = new Lab().start();
    for (let i = 0; i < 2000; i++) {
      const noise = random(ikeHeaderBytes + (i % 200));
      noise.set(lab.right.up[0]?.localSpi ?? new Uint8Array(8), 8);
      new DataView(noise.buffer).setUint32(24, noise.length);
      noise[17] = 0x20;
      lab.deliver({ ...lab.sent[0]!, bytes: noise });
    }
    lab.run();
    expect(mismatches(lab)).toEqual([]);
  });
});

describe('a flood', () => {
  it('of first messages from everywhere: cookies are asked for, memory is bounded, a real peer still comes in', () => {
    const lab = new Lab().begin();
    const first = lab.packets.length === 0 ? null : lab.packets[0]!;
    expect(first).toBeNull();
    while (lab.packets.length === 0) lab.turn();
    const original = lab.packets.shift()!;
    const random = generator('flood');
    const count = Number(process.env.PENSTOCK_IKE_FLOOD ?? 3000);
    for (let i = 0; i < count; i++) {
      const copy = Uint8Array.from(original.bytes);
      copy.set(random(8), 0);
      copy[0]! |= 1;
      const from = random(4);
      const path = {
        ...original.path,
        local: address(`10.${from[1]}.${from[2]}.${from[3]}`),
        localPort: 500,
      };
      lab.deliver({ ...original, path, bytes: copy });
      // computations are done, answers go nowhere
      while (lab.turn()) lab.packets.length = 0;
    }
    expect(lab.right.engine.sas.size).toBe(tuning.ike.cookieThreshold);
    expect(lab.right.count('cookieAsked')).toBe(count - tuning.ike.cookieThreshold);
    lab.packets.length = 0;
    lab.packets.push(original);
    lab.run();
    expect(mismatches(lab)).toEqual([]);
    expect(lab.right.tunnels.size).toBe(1);
    lab.pass(tuning.ike.halfOpenMs + 1000);
    expect(lab.right.engine.sas.size).toBe(1);
  });
});
