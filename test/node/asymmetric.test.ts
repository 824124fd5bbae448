import { afterEach, describe, expect, it } from 'vitest';
import { dataPlaneStatistics } from '../../dist/node/icd.js';
import { AsymmetricLab, echo, type Id, segment } from './asymmetric-lab.js';

const labs: AsymmetricLab[] = [];
afterEach(() => {
  for (const made of labs.splice(0)) made.close();
});

function started(options?: { icd?: boolean; floats?: boolean }): AsymmetricLab {
  const made = new AsymmetricLab(options);
  labs.push(made);
  made.run(1_500);
  made.left();
  return made;
}

/** `Pkts sent, Pkts received` of ICD Data, as `show chassis high-availability data-plane statistics` has them. */
const crossed = (lab: AsymmetricLab, id: Id) =>
  dataPlaneStatistics((counter) => lab.counter(id, counter)).map((row) => [
    row.packetsSent,
    row.packetsReceived,
  ])[0];

/** SYN and ACK through gw2, the answer into gw1. */
function handshake(lab: AsymmetricLab): void {
  lab.send('north', 2, segment('client', ['syn']));
  lab.send('south', 1, segment('server', ['syn', 'ack']));
  lab.send('north', 2, segment('client', ['ack']));
}

describe('an asymmetric connection', () => {
  it('is up with both links, by their own BFD', () => {
    const lab = started();
    for (const { driver, pair } of lab.gateways) {
      expect(driver.state.bfd.get('icd')?.up).toBe(true);
      expect(driver.state.pair.icd).toBe('up');
      expect(pair.isConnected).toBe(true);
    }
  });

  it('has its SYN-ACK cross the ICD once; what comes after set-up does not', () => {
    const lab = started();
    lab.send('north', 2, segment('client', ['syn']));
    expect(lab.left()).toEqual(['south 2']);
    expect([lab.states(2), lab.states(1)]).toEqual(['active active/active', 'warm warm/warm']);

    lab.send('south', 1, segment('server', ['syn', 'ack']));
    expect(lab.left()).toEqual(['north 2']);
    expect([crossed(lab, 1), crossed(lab, 2)]).toEqual([
      [1, 0],
      [0, 1],
    ]);
    expect([lab.states(2), lab.states(1)]).toEqual(['active active/warm', 'warm warm/active']);

    lab.send('north', 2, segment('client', ['ack']));
    expect(lab.left()).toEqual(['south 2']);
    for (let i = 0; i < 3; i++) {
      lab.send('south', 1, segment('server', ['ack'], 400));
      lab.send('north', 2, segment('client', ['ack'], 40));
    }
    expect(lab.left()).toEqual(['north 1', 'south 2', 'north 1', 'south 2', 'north 1', 'south 2']);
    expect([crossed(lab, 1), crossed(lab, 2)]).toEqual([
      [1, 0],
      [0, 1],
    ]);
    // Each node has one Active wing, and the session is Active on both.
    expect([lab.states(2), lab.states(1)]).toEqual(['active active/warm', 'active warm/active']);
  });

  it('is not set up while the ICD is down, and the drop says so; one that is established passes', () => {
    const lab = started();
    handshake(lab);
    lab.left();
    lab.cut('icd', true);
    lab.run(500);
    expect(lab.of(1).driver.state.pair.icd).toBe('down');
    lab.send('south', 1, segment('server', ['ack'], 400));
    expect(lab.left()).toEqual(['north 1']);

    const other = started();
    other.cut('icd', true);
    other.run(500);
    handshake(other);
    expect(other.left()[0]).toBe('south 2');
    expect(other.counter(1, 'icdDown')).toBe(1);
    expect(crossed(other, 1)).toEqual([0, 0]);
    expect(other.states(1)).toBe('warm warm/active');
    // It comes back: so does the handshake.
    other.cut('icd', false);
    other.run(1_000);
    other.send('south', 1, segment('server', ['syn', 'ack']));
    expect(other.left()).toEqual(['north 2']);
  });

  it('goes across while its way out has failed, and no longer once that is back', () => {
    const lab = started();
    handshake(lab);
    lab.send('south', 1, segment('server', ['ack'], 400));
    lab.left();
    const before = crossed(lab, 1)![0]!;
    lab.fail('north', 1, true);
    for (let i = 0; i < 3; i++) lab.send('south', 1, segment('server', ['ack'], 400));
    expect(lab.left()).toEqual(['north 2', 'north 2', 'north 2']);
    expect(crossed(lab, 1)![0]).toBe(before + 3);
    lab.fail('north', 1, false);
    for (let i = 0; i < 3; i++) lab.send('south', 1, segment('server', ['ack'], 400));
    expect(lab.left()).toEqual(['north 1', 'north 1', 'north 1']);
    expect(crossed(lab, 1)![0]).toBe(before + 3);
  });

  it('is forwarded locally by a pair without ICD', () => {
    const lab = started({ icd: false });
    handshake(lab);
    expect(lab.left()).toEqual(['south 2', 'north 1', 'south 2']);
    expect(crossed(lab, 1)).toEqual([0, 0]);
  });
});

it('pings in Z-mode: what floats to the other node is reached through it', () => {
  const lab = started({ floats: true });
  expect(lab.of(1).driver.state.pair.served.get(1)).toBe('peer');
  expect(lab.of(2).driver.state.pair.served.get(1)).toBe('here');
  for (let i = 1; i <= 4; i++) {
    lab.send('north', 2, echo('request'));
    lab.send('south', 1, echo('reply'));
    expect(lab.left()).toEqual(['south 2', 'north 2']);
    expect([crossed(lab, 1), crossed(lab, 2)]).toEqual([
      [i, 0],
      [0, i],
    ]);
  }
  expect([lab.states(2), lab.states(1)]).toEqual(['active active/active', 'warm warm/active']);
});
