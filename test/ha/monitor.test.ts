import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../dist/config/load.js';
import { answerEcho, startEcho, tickEcho } from '../../dist/ha/echo.js';
import { judgeMonitor } from '../../dist/ha/monitor.js';
import { edited, pair, surroundings } from '../config/samples.js';

const monitorOf = (text: string) =>
  loadConfig(
    edited(pair, [
      'monitor: { bfd-liveliness: { 10.1.1.1: { src-ip: 10.1.1.2, interface: ge-0/0/0 } } }',
      `monitor: ${text.replaceAll('\n', ' ')}`,
    ]),
    'a.yaml',
    surroundings,
  ).highAvailability!.groups[1]!.monitor;

const judge = (text: string, down: readonly string[]) => {
  const isUp = (name: string) => !down.includes(name);
  const { failed, failures, weight } = judgeMonitor(monitorOf(text), {
    interfaceUp: isUp,
    ipUp: ({ destination }) => isUp(`ip ${destination}`),
    bfdUp: ({ destination }) => isUp(`bfd ${destination}`),
  });
  return { failed, failures, weight };
};

const bfd = (weight: number) => `{ src-ip: 10.1.1.2, interface: ge-0/0/0, weight: ${weight} }`;
/** The example of the hybrid deployment: both uplinks, or the one port on the servers' side. */
const hybrid = `{ srg-threshold: 100, monitor-object: {
  up: { object-threshold: 100, bfd-liveliness: { threshold: 100, destination-ip: { 10.1.1.1: ${bfd(50)}, 10.1.1.9: ${bfd(50)} } } },
  servers: { object-threshold: 100, interface: { threshold: 100, interface-name: { ge-0/0/1: { weight: 100 } } } } } }`;
/** Kinds below their thresholds count for nothing in the object. */
const mixed = `{ srg-threshold: 150, monitor-object: {
  one: { object-threshold: 80, ip: { threshold: 60, destination-ip: { 10.1.1.1: { weight: 50 }, 10.1.1.8: { weight: 30 } } },
         interface: { threshold: 40, interface-name: { ge-0/0/0: { weight: 40 } } } },
  two: { object-threshold: 50, interface: { interface-name: { ge-0/0/1: { weight: 70 } } } } } }`;

describe('judgeMonitor', () => {
  it.each([
    ['all is up', hybrid, [], false, [], 0],
    ['one of two uplinks', hybrid, ['bfd 10.1.1.1'], false, [], 0],
    ['both uplinks', hybrid, ['bfd 10.1.1.1', 'bfd 10.1.1.9'], true, ['BF'], 100],
    ['the port alone', hybrid, ['ge-0/0/1'], true, ['IF'], 100],
    ['the port and an uplink', hybrid, ['ge-0/0/1', 'bfd 10.1.1.1'], true, ['IF'], 100],
    ['all', hybrid, ['ge-0/0/1', 'bfd 10.1.1.1', 'bfd 10.1.1.9'], true, ['BF', 'IF'], 200],
    ['a kind below its threshold', mixed, ['ip 10.1.1.1', 'ge-0/0/0'], false, [], 0],
    ['an object, and the group not yet', mixed, ['ip 10.1.1.1', 'ip 10.1.1.8'], false, [], 80],
    ['two objects', mixed, ['ip 10.1.1.1', 'ip 10.1.1.8', 'ge-0/0/1'], true, ['IP', 'IF'], 150],
    [
      'plain ones, each alone',
      '{ interface: [ge-0/0/0, ge-0/0/1], ip: { 10.1.1.1: } }',
      ['ip 10.1.1.1'],
      true,
      ['IP'],
      100,
    ],
    [
      'plain ones with a threshold of their own',
      '{ srg-threshold: 7, interface: [ge-0/0/0, ge-0/0/1] }',
      ['ge-0/0/1'],
      true,
      ['IF'],
      7,
    ],
  ] as const)('%s', (_, text, down, failed, failures, weight) => {
    expect(judge(text, down)).toEqual({ failed, failures, weight });
  });

  it('never fails without objects', () => {
    const facts = { interfaceUp: () => false, ipUp: () => false, bfdUp: () => false };
    expect(judgeMonitor({ srgThreshold: 100, objects: [] }, facts).failed).toBe(false);
  });
});

describe('echoes', () => {
  const policy = { intervalMs: 100, multiplier: 3 };

  it('are unanswered after as many in a row, and answered at once', () => {
    let state = startEcho(0);
    const verdicts: string[] = [];
    const sent: (number | null)[] = [];
    for (let nowMs = 0; nowMs <= 600; nowMs += 50) {
      const ticked = tickEcho(state, policy, nowMs);
      state = ticked.state;
      sent.push(ticked.send);
      if (ticked.send === 5) state = answerEcho(state, 5);
      verdicts.push(state.verdict);
    }
    expect(sent.filter((each) => each !== null)).toEqual([1, 2, 3, 4, 5, 6, 7]);
    expect(verdicts.slice(0, 6)).toEqual(Array(6).fill('unknown'));
    expect(verdicts[6]).toBe('unanswered');
    expect(verdicts[8]).toBe('answered');
    // one or two lost change nothing
    expect(verdicts.at(-1)).toBe('answered');
  });

  it('take no late and no second answer, and count from 1 again', () => {
    const sent = tickEcho(tickEcho(startEcho(0), policy, 0).state, policy, 100).state;
    expect(answerEcho(sent, 1)).toBe(sent);
    expect(answerEcho(startEcho(0), 0).verdict).toBe('unknown');
    const answered = answerEcho(sent, 2);
    expect(answerEcho(answered, 2)).toBe(answered);
    expect(tickEcho({ ...sent, sequence: 0xffff, nextMs: 0 }, policy, 0).send).toBe(1);
  });

  it('do not catch up after a clock that stood still', () => {
    const { state } = tickEcho(startEcho(0), policy, 5000);
    expect(state.nextMs).toBe(5000);
    expect(tickEcho(state, policy, 5000).send).toBe(2);
  });
});
