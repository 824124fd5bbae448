import { Command } from 'commander';
import { nearest } from '../config/problem.js';
import { ControlClient } from '../control/client.js';
import type { SessionsView, ViewName, Views } from '../control/show/views.js';
import { findSocket } from '../control/socket.js';
import { comparedText, compareGroups } from './compare-groups.js';
import { Exit } from './exit-codes.js';
import { createOutput, type Output } from './output.js';
import { showText } from './show-text.js';

interface Topic {
  readonly view: ViewName;
  /** the reference documents' words */
  readonly words: readonly string[];
  readonly aliases: readonly string[];
  /** words that may follow, each with a value: [word, parameter] */
  readonly parameters?: Readonly<Record<string, string>>;
  /** the parameter that a word right behind the topic is for: it must be there */
  readonly value?: string;
  /** words that may follow alone: how much is told */
  readonly levels?: readonly string[];
  readonly what: string;
}

const topics: readonly Topic[] = [
  {
    view: 'session',
    words: ['security', 'flow', 'session'],
    aliases: ['sessions'],
    what: 'flow sessions with their two wings',
  },
  {
    view: 'security-associations',
    words: ['security', 'ipsec', 'security-associations'],
    aliases: ['sa', 'sas'],
    parameters: { 'vpn-name': 'vpn' },
    what: 'IPsec SAs of every tunnel (vpn-name NAME)',
  },
  {
    view: 'ike-security-associations',
    words: ['security', 'ike', 'security-associations'],
    aliases: ['ike'],
    parameters: { gateway: 'gateway', peer: 'peer' },
    levels: ['detail'],
    what: 'IKE SAs with their peers (detail, gateway NAME, peer ADDRESS or identity)',
  },
  {
    view: 'ike-statistics',
    words: ['security', 'ike', 'stats'],
    aliases: [],
    what: 'how many IKE SAs there are, and what was refused',
  },
  {
    view: 'tunnel-map',
    words: ['security', 'ike', 'tunnel-map'],
    aliases: ['tunnel-map'],
    what: 'IKE gateways and tunnels of each worker',
  },
  {
    view: 'tunnel-map-summary',
    words: ['security', 'ike', 'tunnel-map', 'summary'],
    aliases: [],
    what: 'the worker that each IKE gateway is anchored on',
  },
  {
    view: 'tunnel-distribution',
    words: ['security', 'ipsec', 'tunnel-distribution'],
    aliases: ['tunnel-distribution'],
    what: 'the tunnels of each worker, and its load factor',
  },
  {
    view: 'packet-drop',
    words: ['security', 'packet-drop', 'records'],
    aliases: ['drops'],
    what: 'packets that were dropped last, and why',
  },
  {
    view: 'traffic-load-balance',
    words: ['services', 'traffic-load-balance', 'statistics'],
    aliases: ['tlb'],
    parameters: { instance: 'instance', group: 'group', 'real-service': 'realService' },
    what: 'virtual services, their real services and health checks (instance, group or real-service NAME)',
  },
  {
    view: 'load-balance-groups',
    words: ['load-balance', 'groups'],
    aliases: ['groups'],
    parameters: { group: 'group' },
    what: 'hash groups, their members and digests (group NAME)',
  },
  {
    view: 'forwarding-table',
    words: ['route', 'forwarding-table'],
    aliases: [],
    parameters: { table: 'table', destination: 'destination' },
    what: 'routes in use with their next hops (table NAME, destination PREFIX)',
  },
  {
    view: 'route',
    words: ['route'],
    aliases: ['routes'],
    parameters: { table: 'table', destination: 'destination', protocol: 'protocol' },
    what: 'routes of every routing instance (table NAME, destination PREFIX, protocol NAME)',
  },
  {
    view: 'bfd-session',
    words: ['bfd', 'session'],
    aliases: ['bfd-sessions'],
    parameters: { address: 'address' },
    levels: ['detail', 'extensive'],
    what: 'BFD sessions with their neighbours (detail, extensive, address ADDRESS)',
  },
  {
    view: 'high-availability',
    words: ['chassis', 'high-availability', 'information'],
    aliases: ['high-availability', 'ha'],
    levels: ['detail'],
    what: 'the pair: the peer, the ICL, services redundancy groups (detail)',
  },
  {
    view: 'services-redundancy-group',
    words: ['chassis', 'high-availability', 'services-redundancy-group'],
    aliases: ['srg'],
    value: 'group',
    what: 'one services redundancy group with all there is to say (a number)',
  },
  {
    view: 'data-plane-statistics',
    words: ['chassis', 'high-availability', 'data-plane', 'statistics'],
    aliases: [],
    what: 'packets that crossed the ICD',
  },
  {
    view: 'counters',
    words: ['counters'],
    aliases: [],
    what: 'counters of the node and of firewall filters',
  },
  { view: 'workers', words: ['workers'], aliases: [], what: 'worker threads' },
  {
    view: 'neighbours',
    words: ['neighbours'],
    aliases: ['arp', 'neighbors'],
    what: 'neighbours: ARP and neighbour discovery',
  },
  { view: 'ports', words: ['ports'], aliases: [], what: 'ports, and what is wrong with them' },
];

interface ShowFlags {
  socket?: string;
  json?: boolean;
  all?: boolean;
  compareSocket?: string;
}

/** `penstock show …`: what a running node knows, over its control socket. */
export function showCommand(output: Output = createOutput()): Command {
  const list = topics
    .map(({ words, aliases, what }) => `  ${[words.join(' '), ...aliases].join(', ').padEnd(52)} ${what}`)
    .join('\n');
  return new Command('show')
    .summary('show what a running node knows: sessions, SAs, load balancing, routes, drops')
    .description('Show what a running node knows. Words may be cut short as long as they are clear.')
    .argument('[words...]', 'what to show')
    .option('--socket <path>', 'its control socket; needed where several nodes run')
    .option('--all', 'counters: those at 0, too')
    .option(
      '--compare-socket <path>',
      'load-balance groups: say where another router’s tables differ (exit 3)',
    )
    .option('--json', 'print one JSON object')
    .addHelpText('after', `\nWhat there is:\n${list}`)
    .action(async (words: string[], flags: ShowFlags) => show(words, flags, output));
}

async function show(words: readonly string[], flags: ShowFlags, output: Output): Promise<void> {
  const { topic, params } = understand(words);
  if (flags.compareSocket !== undefined && topic.view !== 'load-balance-groups')
    throw new Exit('usage', `--compare-socket goes with show load-balance groups, not with ${nameOf(topic)}`);
  const socket = flags.socket ?? orExit(() => findSocket());
  const given = { ...params, ...(topic.view === 'counters' && flags.all === true ? { all: true } : {}) };
  const view = await askAt(socket, topic.view, given);
  if (flags.compareSocket === undefined) {
    if (flags.json === true) output.json(view);
    else for (const line of showText(topic.view, view as never)) output.data(line);
    return;
  }
  const other = await askAt(flags.compareSocket, topic.view, given);
  const compared = compareGroups(view as Views['load-balance-groups'], other as Views['load-balance-groups']);
  if (flags.json === true) output.json(compared);
  else for (const line of comparedText(compared)) output.data(line);
  if (!compared.agree) throw new Exit('degraded', 'the routers do not send every flow to the same member');
}

async function askAt(socket: string, what: ViewName, params: Record<string, unknown>): Promise<object> {
  const client = await ControlClient.open(socket).catch((error: Error) => {
    throw new Exit('failure', error.message);
  });
  try {
    return await ask(client, what, params);
  } catch (error) {
    throw new Exit('failure', (error as Error).message);
  } finally {
    client.close();
  }
}

/** Sessions come in pages; everything else at once. */
async function ask(client: ControlClient, what: ViewName, params: Record<string, unknown>): Promise<object> {
  if (what !== 'session') return (await client.request('show', { what, ...params })) as object;
  const sessions: SessionsView['sessions'][number][] = [];
  const tunnelSessions: SessionsView['tunnelSessions'][number][] = [];
  let page: SessionsView;
  let from: object = {};
  do {
    page = (await client.request('show', { what, ...params, ...from })) as SessionsView;
    tunnelSessions.push(...page.tunnelSessions);
    sessions.push(...page.sessions);
    from = page.next ?? {};
  } while (page.next !== null);
  return { tunnelSessions, sessions, totalSessions: page.totalSessions };
}

/** Throws Exit with what is meant, or what there is. */
export function understand(words: readonly string[]): { topic: Topic; params: Record<string, string> } {
  if (words.length === 0)
    throw new Exit('usage', `show wants to know what: ${topics.map(nameOf).join(', ')}`);
  const all = topics.flatMap((topic) => {
    const length = matchLength(topic, words);
    return length === 0 ? [] : [{ topic, length }];
  });
  // `route forwarding-table` is no `route` with something behind it
  const longest = Math.max(...all.map(({ length }) => length));
  const found = all.filter(({ length }) => length === longest);
  const exact = found.filter(
    ({ topic, length }) =>
      nameOf(topic) === words.slice(0, length).join(' ') || topic.aliases.includes(words[0]!),
  );
  // of words that go on, the topic that takes the most of them
  const most = Math.max(...found.map(({ length }) => length));
  const chosen = exact.length === 1 ? exact : found.filter(({ length }) => length === most);
  if (chosen.length > 1) {
    throw new Exit(
      'usage',
      `show ${words.join(' ')} may mean ${chosen.map(({ topic }) => nameOf(topic)).join(' or ')}`,
    );
  }
  const [only] = chosen;
  if (only === undefined) {
    const meant = nearest(
      words.join(' '),
      topics.flatMap((topic) => [nameOf(topic), ...topic.aliases]),
    );
    const hint = meant === undefined ? `try ${topics.map(nameOf).join(', ')}` : `did you mean ${meant}?`;
    throw new Exit('usage', `nothing to show called ${words.join(' ')}; ${hint}`);
  }
  return { topic: only.topic, params: parametersOf(only.topic, words.slice(only.length)) };
}

const nameOf = (topic: Topic) => topic.words.join(' ');

/** How many of the words name the topic, 0: they do not. */
function matchLength({ words, aliases }: Topic, given: readonly string[]): number {
  if (aliases.includes(given[0]!)) return 1;
  if (given.length < words.length) return 0;
  return words.every((word, i) => word.startsWith(given[i]!)) ? words.length : 0;
}

function parametersOf(topic: Topic, words: readonly string[]): Record<string, string> {
  const params: Record<string, string> = {};
  const known = topic.parameters ?? {};
  if (topic.value !== undefined) {
    if (words.length !== 1) throw new Exit('usage', `show ${nameOf(topic)} wants one number behind it`);
    params[topic.value] = words[0]!;
    return params;
  }
  for (let i = 0; i < words.length; i += 2) {
    const level = topic.levels?.find((each) => each.startsWith(words[i]!));
    if (level !== undefined && !Object.hasOwn(known, words[i]!)) {
      params.level = level;
      i--;
      continue;
    }
    const parameter = Object.hasOwn(known, words[i]!) ? known[words[i]!] : undefined;
    const names = Object.keys(known);
    if (parameter === undefined) {
      const takes = [...(topic.levels ?? []), ...names.map((name) => `${name} NAME`)];
      const mend = takes.length === 0 ? 'takes nothing more' : `takes ${takes.join(', ')}`;
      throw new Exit('usage', `show ${nameOf(topic)} ${mend}, not ${words[i]}`);
    }
    if (words[i + 1] === undefined) throw new Exit('usage', `show ${nameOf(topic)} ${words[i]} wants a name`);
    params[parameter] = words[i + 1]!;
  }
  return params;
}

function orExit<T>(run: () => T): T {
  try {
    return run();
  } catch (error) {
    throw new Exit('failure', (error as Error).message);
  }
}
