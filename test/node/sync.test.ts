import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { Secret } from '../../dist/model/secret.js';
import { decodeTunnel, encodeTunnel } from '../../dist/node/sync-sa.js';
import { manualTunnels } from '../../dist/node/tunnel.js';
import { configOf, type Gateway, gatewayText, Lab, type LabOptions } from './pair-lab.js';

const labs: Lab[] = [];
const lab = (options?: LabOptions) => {
  const made = new Lab(options);
  labs.push(made);
  return made;
};
afterEach(() => {
  for (const made of labs.splice(0)) made.close();
});

const both = (made: Lab) => made.gateways as [Gateway, Gateway];

/** Connected, in sync, gateway 1 active. */
function started(options?: LabOptions): Lab {
  const made = lab(options);
  made.run(300);
  both(made)[0].become('ACTIVE');
  made.run(100);
  return made;
}

const sessionsOf = (made: Lab, gateway: Gateway) =>
  made.plane.sessions(gateway.index, 0, 0n, 10_000).sessions.map(({ in: wing, haState }) => ({
    from: wing.source.join('.'),
    port: wing.sourcePort,
    haState,
  }));

describe('a pair in step', () => {
  it('finds its peer through the encrypted link, and both are in sync', () => {
    const made = lab();
    made.run(400);
    const [a, b] = both(made);
    for (const { pair, log } of [a, b]) {
      expect(pair.view()).toMatchObject({
        isConnected: true,
        coldSync: 'COMPLETE',
        peerColdSync: 'COMPLETE',
        differing: [],
      });
      expect(log).toEqual([]);
    }
    expect(a.counter('espSealed')).toBeGreaterThan(0);
    expect(a.counter('iclUnprotected')).toBe(0);
  });

  it('what comes to the link in the clear is dropped by name', () => {
    const made = lab();
    made.run(300);
    const [a, b] = both(made);
    const datagrams = a.counter('iclUnprotected');
    made.plane.originate(b.index, 0, [clearDatagram()]);
    made.run(5);
    expect(a.counter('iclUnprotected')).toBe(datagrams + 1);
  });

  it('sessions are on both nodes, and end on both', () => {
    const made = started();
    const [a, b] = both(made);
    for (let flow = 0; flow < 150; flow++) made.fromInside(1, flow);
    made.run(50);
    expect(a.counter('sessionsCreated')).toBe(150);
    const copies = sessionsOf(made, b);
    expect(copies).toHaveLength(150);
    expect(new Set(copies.map(({ haState }) => haState))).toEqual(new Set(['warm']));
    const status = a.pair.view().sessions;
    expect(status.saidBytes / status.said).toBeLessThan(48);
    // UDP sessions time out, and the peer hears of it
    made.nowMs += 61_000;
    for (const gateway of made.gateways) gateway.pair.linkDown();
    made.run(1_500);
    expect(sessionsOf(made, a)).toHaveLength(0);
    expect(sessionsOf(made, b)).toHaveLength(0);
  });

  it('takeover at any packet: no nonce twice, nothing dropped as a replay, flows go on', () => {
    fc.assert(
      fc.property(
        fc.array(fc.record({ packets: fc.integer({ min: 1, max: 400 }), ms: fc.nat(12) }), {
          minLength: 1,
          maxLength: 8,
        }),
        fc.nat(40),
        fc.boolean(),
        (bursts, waitMs, reboots) => {
          const made = started();
          let active: 1 | 2 = 1;
          for (const { packets, ms } of bursts) {
            made.fromInside(active, 7, packets);
            made.fromWorld(7, packets);
            made.run(ms);
            const [acknowledged, dead]: [number, 1 | 2] = [made.worldCounter('espOpened'), active];
            made.kill(dead);
            made.run(waitMs);
            active = dead === 1 ? 2 : 1;
            const next = made.gateways[active - 1]!;
            next.become('ACTIVE');
            made.route(active);
            made.run(2);
            const before = made.worldCounter('espOpened');
            made.fromInside(active, 7, 20);
            made.run(10);
            // none of the new node's packets is taken for a replay
            expect(made.worldCounter('espOpened') - before).toBe(20);
            expect(made.worldCounter('replay')).toBe(0);
            expect(acknowledged).toBeLessThanOrEqual(before);
            if (!reboots) break;
            made.reboot(dead);
            made.run(400);
            expect(next.pair.view().peerColdSync).toBe('COMPLETE');
          }
          expect(made.nonces.size).toBe(made.worldCounter('espOpened'));
          expect(made.repeated).toBe(0);
          made.close();
          labs.pop();
        },
      ),
      { numRuns: 12 },
    );
  }, 60_000);

  it('a copy passes packets at once: no session is set up anew', () => {
    const made = started();
    const [, b] = both(made);
    for (let flow = 0; flow < 20; flow++) made.fromInside(1, flow, 3);
    made.run(30);
    made.kill(1);
    b.become('ACTIVE');
    made.route(2);
    made.run(2);
    const created = b.counter('sessionsCreated');
    const opened = made.worldCounter('espOpened');
    for (let flow = 0; flow < 20; flow++) made.fromInside(2, flow, 3);
    made.run(10);
    expect(b.counter('sessionsCreated')).toBe(created);
    expect(made.worldCounter('espOpened') - opened).toBe(60);
  });

  it('what the peer acknowledged is no packet twice after a takeover', () => {
    const made = started();
    const [a, b] = both(made);
    for (let i = 0; i < 30; i++) {
      made.fromWorld(3, 11);
      made.run(3);
    }
    made.run(30);
    const top = a.sa('inbound').sequence;
    expect(top).toBe(330n);
    expect(a.pair.view().exposure.inbound).toBe(0n);
    made.kill(1);
    b.become('ACTIVE');
    made.run(2);
    expect(b.sa('inbound').sequence).toBe(top);
    made.route(2);
    made.fromWorld(3, 5);
    made.run(5);
    expect(b.counter('espOpened') - 0).toBeGreaterThan(0);
    expect(b.sa('inbound').sequence).toBe(top + 5n);
    expect(b.counter('replay')).toBe(0);
  });

  it('an SA waits rather than pass where the peer would go on, and a node that stands alone does not', () => {
    const made = started({ shift: 512 });
    const [a, b] = both(made);
    made.fromInside(1, 1, 50);
    made.run(60);
    expect(a.pair.view().exposure.outbound).toBe(0n);
    // the peer is silent, and not yet believed to be gone
    b.running = false;
    for (let i = 0; i < 20; i++) {
      made.fromInside(1, 1, 50);
      made.run(2);
    }
    const sealed = a.sa('outbound');
    expect(sealed.sequence - (2n ** 20n + 50n)).toBe(512n);
    expect(a.counter('syncWait')).toBe(1000 - 512);
    expect(sealed.drops.gate).toBe(488n);
    made.run(1_200);
    expect(a.pair.isConnected).toBe(false);
    made.fromInside(1, 1, 50);
    made.run(5);
    expect(a.sa('outbound').sequence).toBe(sealed.sequence + 50n);
    // it is back, and has heard
    b.running = true;
    made.run(400);
    expect(a.pair.view()).toMatchObject({ isConnected: true, peerColdSync: 'COMPLETE' });
    made.fromInside(1, 1, 300);
    made.run(30);
    expect(a.pair.view().exposure.outbound).toBe(0n);
  });

  it('a stale takeover jumps as far as the peer may have come, or seals nothing', () => {
    const made = started();
    const [a, b] = both(made);
    made.fromInside(1, 1, 50);
    made.run(60);
    const next = a.sa('outbound').sequence;
    made.kill(1);
    made.run(3_000);
    b.become('ACTIVE');
    made.run(2);
    const jump = b.sa('outbound').sequence - next;
    expect(jump).toBeGreaterThan(2n * 10_000_000n);
    expect(jump).toBeLessThan(2n ** 31n);

    const short = started({ esn: false });
    const [c, d] = both(short);
    short.fromInside(1, 1, 50);
    short.run(60);
    short.kill(1);
    short.run(3_000);
    d.become('ACTIVE');
    short.fromInside(2, 1, 5);
    short.run(5);
    expect(d.pair.view().refused.get('enb')).toMatch(/unknown/);
    expect(d.counter('notSealing')).toBe(5);
    expect(c.sa('outbound').sequence).toBeGreaterThan(1n);
  });

  it('the standby seals nothing, and neither does who let go', () => {
    const made = started();
    const [a, b] = both(made);
    const sealed = b.sa('outbound').sequence;
    made.fromInside(2, 1, 10);
    made.run(5);
    expect(b.sa('outbound').sequence).toBe(sealed);
    b.become('ACTIVE');
    a.become('BACKUP');
    made.run(20);
    made.fromInside(1, 1, 10);
    made.run(5);
    expect(a.sa('outbound').drops.gate).toBe(10n);
  });

  it('without a generation nothing is sealed', () => {
    const made = started();
    const [, b] = both(made);
    made.fromInside(1, 1, 5);
    made.run(30);
    made.kill(1);
    b.losesGenerations = true;
    b.become('ACTIVE');
    made.fromInside(2, 1, 5);
    made.run(5);
    expect(b.counter('notSealing')).toBe(5);
    expect(b.pair.view().refused.get('enb')).toMatch(/generation is unknown/);
  });

  it('policies that differ are shown, and sessions stay where they are', () => {
    const made = started({ policies: 'default-policy: deny-all' });
    const [a, b] = both(made);
    expect(a.pair.view().differing).toEqual(['policies']);
    expect(a.log.join()).toMatch(/differs in policies/);
    made.fromInside(1, 1, 5);
    made.run(50);
    expect(sessionsOf(made, a)).toHaveLength(1);
    expect(sessionsOf(made, b)).toHaveLength(0);
  });

  it('keys that were agreed on cross the link, with a base generation for each node', () => {
    const made = started();
    const [a, b] = both(made);
    const [keys] = manualTunnels(configOf(gatewayText(1)), a.generation);
    const named = { ...keys!.tunnel, name: 'agreed', id: 7 };
    const secret = (byte: number) => new Secret(new Uint8Array(36).fill(byte));
    const { isDormant: _, ...fresh } = keys!;
    a.driver.post({
      kind: 'tunnels-keyed',
      tunnels: [
        {
          ...fresh,
          tunnel: named,
          inbound: [{ spi: 0x5001, key: secret(1) }],
          outbound: { spi: 0x5002, key: secret(2) },
          epoch: 0,
        },
      ],
    });
    made.run(60);
    const copy = b.driver.state.tunnels.get('agreed')!;
    expect(copy.tunnel.selectors.map(String)).toEqual(named.selectors.map(String));
    const [key] = made.plane.saKeys(b.index, 'outbound', [copy.outbound!.index]);
    expect(key).toMatchObject({ algorithm: 'aes-gcm', key: new Uint8Array(36).fill(2) });
    // its base was acknowledged: it may take over, in epochs of its own
    made.kill(1);
    b.become('ACTIVE');
    made.run(5);
    expect(b.pair.view().refused.get('agreed')).toBeUndefined();
    // and when it goes, it goes
    made.reboot(1);
    made.run(400);
    expect(made.gateways[0]!.driver.state.tunnels.has('agreed')).toBe(true);
    b.driver.post({ kind: 'tunnels-removed', tunnels: ['agreed'] });
    made.run(50);
    expect(made.gateways[0]!.driver.state.tunnels.has('agreed')).toBe(false);
  });

  it('a base that the peer has not acknowledged lets nobody take over', () => {
    const made = started();
    const [a, b] = both(made);
    const [keys] = manualTunnels(configOf(gatewayText(1)), a.generation);
    const secret = (byte: number) => new Secret(new Uint8Array(36).fill(byte));
    const { isDormant: _, ...fresh } = keys!;
    a.driver.post({
      kind: 'tunnels-keyed',
      tunnels: [
        {
          ...fresh,
          tunnel: { ...keys!.tunnel, name: 'agreed', id: 7 },
          inbound: [],
          outbound: { spi: 0x5002, key: secret(2) },
          epoch: 0,
        },
      ],
    });
    made.muteAfterTunnel = true;
    made.run(60);
    expect(b.driver.state.tunnels.has('agreed')).toBe(true);
    made.kill(1);
    b.become('ACTIVE');
    expect(b.pair.view().refused.get('agreed')).toMatch(/not acknowledged/);
  });

  it('keys that were agreed on while the node stands alone are sealed with after the next takeover, too', () => {
    const made = started();
    const [a] = both(made);
    made.kill(2);
    a.pair.linkDown();
    made.run(20);
    const [keys] = manualTunnels(configOf(gatewayText(1)), a.generation);
    const secret = (byte: number) => new Secret(new Uint8Array(36).fill(byte));
    const { isDormant: _, ...fresh } = keys!;
    a.driver.post({
      kind: 'tunnels-keyed',
      tunnels: [
        {
          ...fresh,
          tunnel: { ...keys!.tunnel, name: 'agreed', id: 7 },
          inbound: [{ spi: 0x5001, key: secret(1) }],
          outbound: { spi: 0x5002, key: secret(2) },
          epoch: 0,
        },
      ],
    });
    // before any tick: the base is of before the takeover
    a.become('BACKUP');
    a.become('ACTIVE');
    expect(a.pair.view().refused.get('agreed')).toBeUndefined();
    made.run(20);
    // the other node comes back: it is told of the key and the base at once, and takes over
    made.reboot(2);
    made.run(400);
    const b = both(made)[1];
    expect(b.driver.state.tunnels.has('agreed')).toBe(true);
    made.kill(1);
    b.become('ACTIVE');
    made.run(5);
    expect(b.pair.view().refused.get('agreed')).toBeUndefined();
    // which who lost both is told, with the base that it had
    made.reboot(1);
    made.run(400);
    const again = both(made)[0];
    made.kill(2);
    again.become('ACTIVE');
    made.run(5);
    expect(again.pair.view().refused.get('agreed')).toBeUndefined();
  });

  it('malformed tunnels are none', () => {
    const [keys] = manualTunnels(configOf(gatewayText(1)), 1);
    const bytes = encodeTunnel({
      tunnel: keys!.tunnel,
      inbound: [{ spi: 257, key: new Secret(new Uint8Array(36).fill(1)) }],
      outbound: { spi: 258, key: new Secret(new Uint8Array(36).fill(2)) },
      bases: new Map([[1, 3]]),
    });
    expect(decodeTunnel(bytes)!.tunnel.name).toBe('enb');
    for (let cut = 0; cut < bytes.length; cut++) expect(decodeTunnel(bytes.slice(0, cut))).toBeNull();
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.nat(255), (at, byte) => {
        const wrong = bytes.slice();
        wrong[at] = byte;
        decodeTunnel(wrong);
      }),
      { numRuns: 500 },
    );
  });
});

function clearDatagram(): Uint8Array {
  const bytes = new Uint8Array(20 + 8 + 40);
  bytes.set([0x45, 0, 0, bytes.length, 0, 0, 0, 0, 64, 17, 0, 0, 10, 3, 1, 2, 10, 3, 1, 1]);
  bytes.set([11_750 >> 8, 11_750 & 255, 11_750 >> 8, 11_750 & 255, 0, 48, 0, 0], 20);
  let sum = 0;
  for (let i = 0; i < 20; i += 2) sum += (bytes[i]! << 8) | bytes[i + 1]!;
  sum = (sum & 0xffff) + (sum >>> 16);
  bytes[10] = ~sum >>> 8;
  bytes[11] = ~sum;
  return bytes;
}
