/** The same seed is the same run, what a run must hold is found when it does not, and short lists of faults come out. */
import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { drawScenario, exploreOne, seedOfRun, shortest } from '../../dist/emulator/explore.js';
import { runScenario } from '../../dist/emulator/run.js';
import { defaultDetection, type Fault, type Scenario } from '../../dist/emulator/scenario.js';
import { checkScenario } from '../../dist/emulator/scenario-file.js';
import type { NodeAction } from '../../dist/node/event.js';
import type { SaKey } from '../../dist/node/tunnel.js';

const seed = Number(process.env.PENSTOCK_SEED ?? 1);
const runs = Number(process.env.PENSTOCK_SIMULATIONS ?? 8);

const scenario = (method: 'ecmp' | 'tlb', ...events: (Fault & { atMs: number })[]): Scenario => ({
  name: 'test',
  topology: { method, routers: 1, gateways: 3, tunnels: 6 },
  quality: { delayNs: 500_000, bitsPerSecond: 1_000_000_000 },
  links: {},
  warmUpMs: 1500,
  durationMs: 15_000,
  detection: defaultDetection,
  traffic: [{ name: 'tunnel', sessions: 12, packetsPerSecond: 10, size: 100 }],
  events,
  expect: [],
});
const kill = { kind: 'kill', node: 'gw2', atMs: 3000, forMs: 4000 } as const;

describe('a run', () => {
  it('is the same twice, to the last bit of the last packet, and another with another seed', () => {
    const drawn = drawScenario(seedOfRun(seed, 0)).scenario;
    const first = runScenario({ scenario: drawn, seed });
    const second = runScenario({ scenario: drawn, seed });
    expect(second).toEqual(first);
    expect(runScenario({ scenario: drawn, seed: seed + 1 }).digest).not.toBe(first.digest);
    expect(first.sent).toBeGreaterThan(2000);
  });

  it('loses nothing while nothing happens', () => {
    const result = runScenario({ scenario: scenario('ecmp'), seed, allMustRecover: true });
    expect(result.violations).toEqual([]);
    expect(result.lost).toBe(0);
    expect(result.delivered).toBe(2 * 12 * 150);
  });

  it('tells what an event cost whom', () => {
    const { convergence, violations } = runScenario({ scenario: scenario('tlb', kill), seed });
    expect(violations).toEqual([]);
    const affected = convergence.find(({ flows }) => flows === 'affected')!;
    const others = convergence.find(({ flows }) => flows === 'unaffected')!;
    expect(others.lost).toBe(0);
    expect(others.maxMs).toBe(0);
    expect(affected.hit).toBe(affected.count);
    expect(affected.lost).toBeGreaterThan(0);
    expect(affected.maxMs).toBeGreaterThanOrEqual(affected.p50Ms);
  });

  it('names an expectation that is not met', () => {
    const flows = { flowClass: null, flows: 'affected' } as const;
    const expected = { ...scenario('tlb', kill), expect: [{ ...flows, lost: 0, recoveredWithinMs: 1 }] };
    const { violations } = runScenario({ scenario: expected, seed });
    expect(violations).toHaveLength(2);
    expect(violations[0]).toMatch(/affected flows of tunnel at 3 s .* lost \d+ packets, not at most 0/);
  });
});

it(`holds in ${runs} runs with random faults (PENSTOCK_SIMULATIONS, PENSTOCK_SEED=${seed})`, () => {
  for (let run = 0; run < runs; run++) {
    const { violation } = exploreOne(seedOfRun(seed, run));
    expect(violation, JSON.stringify(violation)).toBeNull();
  }
});

it('goes on above the numbers of a standby that was active for a while, believing that it stood alone', () => {
  const drawn = drawScenario(21_234_947_022_664).scenario;
  const events = drawn.events.filter((event) => event.kind === 'freeze' && event.node === 'gw1a');
  expect(events).toHaveLength(1);
  const { violations } = runScenario({
    scenario: { ...drawn, events },
    seed: 21_234_947_022_664,
    allMustRecover: true,
  });
  expect(violations).toEqual([]);
});

describe('is able to find', () => {
  it('a violation in random faults, and the few faults that show it', () => {
    const { violation } = exploreOne(seedOfRun(seed, 1), () => {
      const first = new Map<string, SaKey>();
      return (node, action) => {
        if (action.kind !== 'add-sas') return action;
        const outbound = action.outbound.map((request) => {
          const old = first.get(`${node} ${request.tunnel.name}`);
          if (old !== undefined) return { ...request, spi: old.spi, key: old.key };
          first.set(`${node} ${request.tunnel.name}`, { spi: request.spi, key: request.key });
          return request;
        });
        return { ...action, outbound };
      };
    });
    expect(violation!.what.join()).toMatch(/nonces were used twice/);
    expect(violation!.events.length).toBeLessThanOrEqual(2);
  });

  /** One of these is broken, and what must hold does not. */
  const found = (of: Scenario, tamper: (node: string, action: NodeAction) => NodeAction) =>
    runScenario({ scenario: of, seed, allMustRecover: true, tamper }).violations.join('\n');

  it('a nonce that is used twice: a rekey brings the old key back', () => {
    const first = new Map<string, SaKey>();
    const violations = found(scenario('tlb', kill), (node, action) => {
      if (action.kind !== 'add-sas') return action;
      const outbound = action.outbound.map((request) => {
        const old = first.get(`${node} ${request.tunnel.name}`);
        if (old !== undefined) return { ...request, spi: old.spi, key: old.key };
        first.set(`${node} ${request.tunnel.name}`, { spi: request.spi, key: request.key });
        return request;
      });
      return { ...action, outbound };
    });
    expect(violations).toMatch(/nonces were used twice/);
  });

  it('a replay that is accepted: a window that lets everything pass', () => {
    const replays = {
      kind: 'link-quality',
      link: 'mx1--gw1-trust',
      quality: { replayPpm: 300_000 },
      atMs: 3000,
      forMs: 5000,
    } as const;
    expect(found(scenario('tlb', replays), (_, action) => action)).toBe('');
    const violations = found(scenario('tlb', replays), (_, action) =>
      action.kind !== 'add-sas'
        ? action
        : {
            ...action,
            inbound: action.inbound.map((request) => ({
              ...request,
              tunnel: { ...request.tunnel, antiReplayWindowSize: null },
            })),
          },
    );
    expect(violations).toMatch(/packets arrived twice/);
  });

  it('flows that move though nothing happened to their gateway: a table that is dealt anew', () => {
    const violations = found(scenario('ecmp', kill), (_, action) => {
      if (action.kind !== 'publish' || action.parts.groups === undefined) return action;
      const groups = action.parts.groups.map((group) => {
        const up = [...new Set(group.slots)].filter((member) => member !== 0xffff);
        return { ...group, slots: group.slots.map((_member, slot) => up[slot % up.length] ?? 0xffff) };
      });
      return { ...action, parts: { ...action.parts, groups } };
    });
    expect(violations).toMatch(/lost packets .* had nothing to do with it/);
  });

  it('flows that never come back: a router that is not told of routes again', () => {
    let announcements = 0;
    const violations = found(scenario('tlb', kill), (_, action) => {
      if (action.kind !== 'announce' || announcements++ < 8) return action;
      return { ...action, routes: [] };
    });
    expect(violations).toMatch(/has got nothing for/);
  });

  it('the shortest list of events that still shows it', () => {
    const failing = ['b', 'f'];
    const fails = (events: readonly string[]) => failing.every((event) => events.includes(event));
    expect(shortest([...'abcdefgh'], fails)).toEqual(failing);
    expect(shortest([...'abcdefgh'], () => true)).toEqual([]);
  });
});

describe('scenarios that are shipped', () => {
  const directory = new URL('../../examples/scenarios/', import.meta.url);
  const files = readdirSync(directory).filter((name) => name.endsWith('.yaml'));
  it.each(files)('%s holds on every combination that it is for', (file) => {
    const { scenarios, problems } = checkScenario(readFileSync(new URL(file, directory), 'utf8'), file);
    expect(problems).toEqual([]);
    for (const { combination, scenario: of } of scenarios!) {
      // a pair costs ten times as much: all of them with PENSTOCK_SIMULATIONS=100
      const isShort = runs < 100 && combination.includes('pair');
      if (isShort && (combination !== 'tlb-pair' || !/^(gateway-kill|pair-|interchassis)/.test(file)))
        continue;
      // a part of the traffic: the rest costs time and shows nothing more
      const traffic = of.traffic.map((each) => ({ ...each, packetsPerSecond: each.packetsPerSecond / 4 }));
      const { violations } = runScenario({ scenario: { ...of, traffic }, seed });
      expect(violations, combination).toEqual([]);
    }
  });
});

it('says what is wrong with a scenario, and where', () => {
  const text = `topology: { gateways: 3 }
duration: 10
traffic: { t: { sessions: 1, rate: 1 } }
events:
  - { at: 3, kill: gw9 }
  - { at: 30, reboot: gw1 }
  - { at: 3, kill: gw1, freeze: gw2 }
  - { at: 3, link-down: mx1--gw1-trusty }
expect:
  - { clas: t, lost: 0 }
`;
  const places = (source: string) =>
    checkScenario(source, 's.yaml').problems.map(
      ({ line, column, message }) => `${line}:${column}: ${message}`,
    );
  expect(places(text)).toEqual(['10:7: unknown key; did you mean class?']);
  const found = places(text.replace('clas:', 'class:'));
  expect(found[0]).toMatch(/^5:20: no node gw9; did you mean gw1\? \(ecmp\)/);
  expect(found.join('\n')).toMatch(/6:\d+: after the end; write less than 10/);
  expect(found.join('\n')).toMatch(/7:\d+: kill and freeze at once/);
  expect(found.join('\n')).toMatch(/8:\d+: no link mx1--gw1-trusty; did you mean mx1--gw1-trust\?/);
});
