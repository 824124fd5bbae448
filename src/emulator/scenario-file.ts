/** Scenario files: YAML, checked as strictly as configurations are (docs/scenarios.md). */
import { z } from 'zod';
import * as f from '../config/fields.js';
import { fitting, inOrder } from '../config/load.js';
import { type Path, type Problem, suggestion } from '../config/problem.js';
import { type Finding, normalise } from '../config/walk.js';
import { readYaml } from '../config/yaml.js';
import type { LinkQuality } from '../pipeline/native.js';
import {
  defaultDetection,
  type Expectation,
  type Fault,
  type FlowClass,
  type Scenario,
  type ScenarioEvent,
} from './scenario.js';
import { makeTopology, type Topology, type TopologySpec } from './topology.js';

/** The combinations of the reference's table 2. */
export const combinations = {
  ecmp: { method: 'ecmp', routers: 1 },
  tlb: { method: 'tlb', routers: 1 },
  'tlb-dual': { method: 'tlb', routers: 2 },
  'tlb-pair': { method: 'tlb', routers: 1, pairs: true },
  'tlb-dual-pair': { method: 'tlb', routers: 2, pairs: true },
} as const satisfies Record<string, Pick<TopologySpec, 'method' | 'routers' | 'pairs'>>;
export type Combination = keyof typeof combinations;
const combinationNames = Object.keys(combinations) as Combination[];

const seconds = (most = 86_400) => f.number({ least: 0, most }, 'seconds');
const milliseconds = (most = 600_000) => f.number({ least: 0, most }, 'milliseconds');
const percent = () => f.number({ least: 0, most: 100 }, 'percent').optional();

const quality = f.section({
  rate: f.number({ least: 0.001, most: 400_000 }, 'Mbit/s').optional(),
  delay: milliseconds().optional(),
  jitter: milliseconds().optional(),
  loss: percent(),
  duplicate: percent(),
  reorder: percent(),
  'held-back': milliseconds().optional(),
  corrupt: percent(),
  replay: percent(),
});
type QualityDocument = z.infer<typeof quality>;

const node = () => f.name('node').optional();
const event = f.section({
  at: seconds(),
  for: seconds().optional(),
  kill: node(),
  'power-off': node(),
  reboot: node(),
  freeze: node(),
  'ipsec-failure': node(),
  'routing-restart': node(),
  'graceful-restart': node(),
  'tlb-restart': node(),
  'switch-over': node(),
  'link-down': f.name('link').optional(),
  'one-way-loss': f.section({ link: f.name('link'), from: f.name('node') }).optional(),
  'link-quality': f.section({ link: f.name('link'), quality }).optional(),
  'clock-skew': f
    .section({
      node: f.name('node'),
      ahead: f.integer({ least: -3_600_000, most: 3_600_000 }, 'milliseconds').optional(),
      gains: f.integer({ least: -100_000, most: 100_000 }, 'parts in a million').optional(),
    })
    .optional(),
  members: f.list(f.integer({ least: 1, most: 64 }), 'numbers of gateways').optional(),
});
type EventDocument = z.infer<typeof event>;

export const scenarioSchema = f.section({
  description: f.text('what is tried').optional(),
  topology: f.section({
    combinations: f
      .list(f.word(['ecmp', 'tlb', 'tlb-dual', 'tlb-pair', 'tlb-dual-pair']), 'combinations')
      .optional(),
    gateways: f.integer({ least: 1, most: 64 }).optional(),
    tunnels: f.integer({ least: 1, most: 4096 }).optional(),
  }),
  links: f.table('link', quality).optional(),
  detection: f
    .section({
      'hold-time': milliseconds().optional(),
      'dead-peer-idle': milliseconds().optional(),
      'dead-peer-retry': milliseconds().optional(),
      'dead-peer-attempts': f.integer({ least: 1, most: 100 }).optional(),
    })
    .optional(),
  'warm-up': seconds().optional(),
  duration: seconds(),
  traffic: f.table(
    'flow class',
    f.section({
      sessions: f.integer({ least: 1, most: 50_000 }),
      rate: f.number({ least: 0.01, most: 100_000 }, 'packets a second'),
      size: f.integer({ least: 64, most: 1900 }, 'bytes').optional(),
    }),
  ),
  events: f.list(event, 'events').optional(),
  expect: f
    .list(
      f.section({
        class: f.name('flow class').optional(),
        flows: f.word(['affected', 'unaffected', 'all']).optional(),
        lost: f.integer({ least: 0, most: 1_000_000_000 }, 'packets').optional(),
        'recovered-within': milliseconds().optional(),
      }),
      'expectations',
    )
    .optional(),
});
type ScenarioDocument = z.infer<typeof scenarioSchema>;

export interface CheckedScenarios {
  /** one for each combination; null: something is wrong */
  readonly scenarios: readonly { readonly combination: Combination; readonly scenario: Scenario }[] | null;
  readonly problems: readonly Problem[];
}

export function scenarioJsonSchema(): object {
  return { title: 'Penstock scenario', ...z.toJSONSchema(scenarioSchema, { io: 'input' }) };
}

/** Reads and checks a scenario's text. Never throws. */
export function checkScenario(text: string, file: string): CheckedScenarios {
  const yaml = readYaml(text, file);
  if (yaml.problems.length > 0) return { scenarios: null, problems: inOrder(yaml.problems) };
  const findings: Finding[] = [];
  const declared = normalise(yaml.value, findings, scenarioSchema);
  const document = fitting(scenarioSchema, declared, findings);
  const problems = findings.map(({ path, message, at }) => yaml.problem(path, message, at));
  if (document === undefined || problems.length > 0) return { scenarios: null, problems: inOrder(problems) };
  const name = file.replace(/^.*\//, '').replace(/\.ya?ml$/, '');
  const wanted = document.topology.combinations ?? combinationNames;
  const scenarios = wanted.map((combination) => {
    const spec: TopologySpec = {
      ...combinations[combination],
      gateways: document.topology.gateways ?? 3,
      tunnels: document.topology.tunnels ?? 12,
    };
    const topology = makeTopology(spec);
    const check = new Check(topology, (path, message) =>
      problems.push(yaml.problem(path, `${message} (${combination})`)),
    );
    return { combination, scenario: compile(name, spec, document, check) };
  });
  return problems.length > 0 ? { scenarios: null, problems: inOrder(problems) } : { scenarios, problems };
}

class Check {
  readonly #topology: Topology;
  readonly #report: (path: Path, message: string) => void;

  constructor(topology: Topology, report: (path: Path, message: string) => void) {
    this.#topology = topology;
    this.#report = report;
  }

  problem(path: Path, message: string): void {
    this.#report(path, message);
  }

  /** In a scenario for pairs, too, gw2 is the one that is active at first: gw2a. */
  called(name: string): string {
    return this.#topology.spec.pairs === true ? name.replace(/\bgw(\d+)(?![\dab])/g, 'gw$1a') : name;
  }

  node(path: Path, name: string): void {
    const names = this.#topology.nodes.map((entry) => entry.name);
    if (!names.includes(name)) this.#missing(path, 'node', name, names);
  }

  router(path: Path, name: string): void {
    const { routers } = this.#topology;
    if (!routers.includes(name)) this.#missing(path, 'router', name, routers);
  }

  gateway(path: Path, name: string): void {
    const { gateways } = this.#topology;
    if (!gateways.includes(name)) this.#missing(path, 'gateway', name, gateways);
  }

  link(path: Path, name: string): readonly string[] {
    const names = this.#topology.links.map((entry) => entry.name);
    if (!names.includes(name)) this.#missing(path, 'link', name, names);
    return this.#topology.links.find((entry) => entry.name === name)?.ends ?? [];
  }

  get gateways(): number {
    return this.#topology.spec.gateways;
  }

  #missing(path: Path, kind: string, name: string, names: readonly string[]): void {
    this.problem(path, `no ${kind} ${name}${suggestion(name, names) || `; there are ${names.join(', ')}`}`);
  }
}

function compile(name: string, topology: TopologySpec, document: ScenarioDocument, check: Check): Scenario {
  const { default: all, ...links } = document.links ?? {};
  for (const link of Object.keys(links)) check.link(['links', link], check.called(link));
  const { detection = {} } = document;
  const durationMs = document.duration * 1000;
  const classes = Object.entries(document.traffic).map(
    ([className, { sessions, rate, size }]): FlowClass => ({
      name: className,
      sessions,
      packetsPerSecond: rate,
      size: size ?? 128,
    }),
  );
  const events = (document.events ?? []).flatMap((entry, i) => {
    const path = ['events', i] as const;
    const fault = faultOf(entry, path, check);
    if (fault === null) return [];
    const atMs = entry.at * 1000;
    if (atMs >= durationMs)
      check.problem([...path, 'at'], `after the end; write less than ${document.duration}`);
    const forMs = entry.for === undefined ? {} : { forMs: entry.for * 1000 };
    return [{ ...fault, ...forMs, atMs } as ScenarioEvent];
  });
  return {
    name,
    topology,
    quality: qualityOf(all ?? { rate: 1000, delay: 0.5 }),
    links: Object.fromEntries(Object.entries(links).map(([link, of]) => [check.called(link), qualityOf(of)])),
    warmUpMs: (document['warm-up'] ?? 3) * 1000,
    durationMs,
    detection: {
      holdMs: detection['hold-time'] ?? defaultDetection.holdMs,
      deadPeerIdleMs: detection['dead-peer-idle'] ?? defaultDetection.deadPeerIdleMs,
      deadPeerRetryMs: detection['dead-peer-retry'] ?? defaultDetection.deadPeerRetryMs,
      deadPeerAttempts: detection['dead-peer-attempts'] ?? defaultDetection.deadPeerAttempts,
    },
    traffic: classes,
    events: events.toSorted((a, b) => a.atMs - b.atMs),
    expect: (document.expect ?? []).map((entry, i): Expectation => {
      const className = entry.class ?? null;
      if (className !== null && !classes.some((of) => of.name === className)) {
        const names = classes.map((of) => of.name);
        check.problem(
          ['expect', i, 'class'],
          `no flow class ${className}${suggestion(className, names) || `; there are ${names.join(', ')}`}`,
        );
      }
      return {
        flowClass: className,
        flows: entry.flows ?? 'all',
        lost: entry.lost ?? null,
        recoveredWithinMs: entry['recovered-within'] ?? null,
      };
    }),
  };
}

const ppm = (percentage: number | undefined) => Math.round((percentage ?? 0) * 10_000);
const ns = (ms: number | undefined) => Math.round((ms ?? 0) * 1e6);

function qualityOf(document: QualityDocument): LinkQuality {
  const { rate, delay, jitter, loss, duplicate, reorder, corrupt, replay } = document;
  return {
    bitsPerSecond: Math.round((rate ?? 0) * 1e6),
    delayNs: ns(delay),
    jitterNs: ns(jitter),
    heldBackNs: ns(document['held-back'] ?? delay),
    lossPpm: ppm(loss),
    duplicatePpm: ppm(duplicate),
    reorderPpm: ppm(reorder),
    corruptPpm: ppm(corrupt),
    replayPpm: ppm(replay),
  };
}

const ofNodes = ['kill', 'power-off', 'reboot', 'freeze'] as const;
const ofGateways = ['ipsec-failure'] as const;
const ofRouters = ['routing-restart', 'graceful-restart', 'tlb-restart', 'switch-over'] as const;

function faultOf(entry: EventDocument, path: Path, check: Check): Fault | null {
  const { at: _, for: __, ...faults } = entry;
  const happening = Object.keys(faults) as (keyof typeof faults)[];
  if (happening.length !== 1) {
    const what = happening.length === 0 ? 'nothing happens' : `${happening.join(' and ')} at once`;
    check.problem(path, `${what}; write one thing that happens, e.g. { at: 5, kill: gw2, for: 5 }`);
    return null;
  }
  for (const kind of ofNodes) {
    const given = faults[kind];
    if (given === undefined) continue;
    const name = check.called(given);
    check.node([...path, kind], name);
    return { kind, node: name };
  }
  for (const kind of ofGateways) {
    const given = faults[kind];
    if (given === undefined) continue;
    const name = check.called(given);
    check.gateway([...path, kind], name);
    return { kind, node: name };
  }
  for (const kind of ofRouters) {
    const given = faults[kind];
    if (given === undefined) continue;
    const name = check.called(given);
    check.router([...path, kind], name);
    return { kind, node: name };
  }
  if (faults['link-down'] !== undefined) {
    const link = check.called(faults['link-down']);
    check.link([...path, 'link-down'], link);
    return { kind: 'link-down', link };
  }
  if (faults['one-way-loss'] !== undefined) {
    const [link, from] = [faults['one-way-loss'].link, faults['one-way-loss'].from].map((name) =>
      check.called(name),
    ) as [string, string];
    const ends = check.link([...path, 'one-way-loss', 'link'], link);
    if (ends.length > 0 && !ends.includes(from))
      check.problem(
        [...path, 'one-way-loss', 'from'],
        `${from} is no end of ${link}; write ${ends.join(' or ')}`,
      );
    return { kind: 'one-way-loss', link, from };
  }
  if (faults['link-quality'] !== undefined) {
    const { quality: of } = faults['link-quality'];
    const link = check.called(faults['link-quality'].link);
    check.link([...path, 'link-quality', 'link'], link);
    return { kind: 'link-quality', link, quality: qualityOf(of) };
  }
  if (faults['clock-skew'] !== undefined) {
    const { node, ahead, gains } = faults['clock-skew'];
    const name = check.called(node);
    check.node([...path, 'clock-skew', 'node'], name);
    return { kind: 'clock-skew', node: name, offsetMs: ahead ?? 0, gainedPpm: gains ?? 0 };
  }
  const members = faults.members!;
  members.forEach((number, i) => {
    if (number > check.gateways)
      check.problem([...path, 'members', i], `no gateway ${number}; there are ${check.gateways}`);
  });
  return { kind: 'members', members };
}
