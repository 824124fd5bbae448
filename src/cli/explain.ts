import { Command } from 'commander';
import { suggestion } from '../config/problem.js';
import { ControlClient } from '../control/client.js';
import { protocolName } from '../control/show/node-view.js';
import { noMember } from '../lb/chash.js';
import { type GivenFlow, parseFlow } from '../lb/explain.js';
import { listOf } from '../lb/plan/events.js';
import { type ExplainedGroup, type Explanation, explainFlow } from '../node/explain.js';
import { withAllUp } from '../node/services.js';
import { emptyNode, type NodeState } from '../node/state.js';
import { step } from '../node/step.js';
import { type ChashTable, native } from '../pipeline/native.js';
import { loadFile } from './check.js';
import { Exit } from './exit-codes.js';
import { createOutput, type Output } from './output.js';
import { whole } from './plan-text.js';

interface Flags {
  flow: string;
  socket?: string;
  interface?: string;
  dead?: string[];
  json?: boolean;
}

/** An explanation with what the table says: who would have the slot if all were up. */
interface Told extends Explanation {
  readonly home: string | null;
  readonly mac: string | null;
  /** of the node that was asked; null: of a configuration */
  readonly hostName: string | null;
}

/** `penstock explain CONFIG --flow …`: where a flow goes, and why. */
export function explainCommand(output: Output = createOutput()): Command {
  const again = (value: string, before: string[] | undefined) => [...(before ?? []), value];
  return new Command('explain')
    .summary('say where a flow goes, and why')
    .description(
      'Say where a flow goes and why: interface, filter, virtual service, key, hash, slot, member, next hop. Of a ' +
        'configuration with all members up but those that --dead names, or of a running node as it is.',
    )
    .argument('[config]', 'a configuration; - is standard input')
    .requiredOption(
      '--flow <flow>',
      'source,destination,protocol,source port,destination port; of ESP the SPI instead of ports',
    )
    .option('--socket <path>', 'ask the running node with this control socket')
    .option('--interface <name>', 'that the flow comes in by')
    .option('--dead <member>', 'a member that is down; repeatable', again)
    .option('--json', 'print one JSON object')
    .action((config: string | undefined, flags: Flags) => explain(config ?? null, flags, output));
}

async function explain(config: string | null, flags: Flags, output: Output): Promise<void> {
  const flow = orUsage(() => parseFlow(flags.flow));
  if ((config === null) === (flags.socket === undefined)) {
    throw new Exit('usage', 'explain wants a configuration, or --socket PATH of a running node');
  }
  const told =
    config !== null
      ? ofConfig(config, flow, flags)
      : await ofNode(flags.socket!, flow, flags.interface ?? null, flags.dead ?? []);
  if (flags.json === true) output.json(jsonOf(flow, told));
  else for (const line of textOf(flow, told)) output.data(line);
}

function ofConfig(file: string, flow: GivenFlow, flags: Flags): Told {
  const config = loadFile(file);
  const ports = new Map(config.ports.map(({ name }, index) => [name, { index, mac: new Uint8Array(6) }]));
  const setup = { ports, workers: config.system.workers };
  const state: NodeState = withAllUp(step(emptyNode, { kind: 'configured', config, setup }, 0).state, 0);
  const explanation = orUsage(() => explainFlow(state, flow, flags.interface ?? null));
  const none = { home: null, mac: null, hostName: null };
  const { group } = explanation;
  const dead = flags.dead ?? [];
  if (group === null) return { ...explanation, ...none };
  const names = group.members.map(({ name }) => name);
  for (const name of dead) {
    if (names.includes(name)) continue;
    const hint = suggestion(name, names) || `; it has ${listOf(names)}`;
    throw new Exit('usage', `--dead ${name}: no member ${name} in group ${group.group}${hint}`);
  }
  const { slots, home } = tableOf(group, dead);
  const chosen = names[slots[group.slot] ?? noMember] ?? null;
  const members = group.members.map((member) => ({ ...member, up: !dead.includes(member.name) }));
  return {
    ...explanation,
    ...none,
    group: { ...group, members, member: chosen },
    outcome: chosen === null ? 'nobody-up' : 'member',
    nextHop: members.find(({ name }) => name === chosen)?.nextHop ?? null,
    home: names[home[group.slot]!] ?? null,
  };
}

/** Members are numbered as the group has them. */
function tableOf(group: ExplainedGroup, dead: readonly string[]): ChashTable {
  return native().chashBuild({
    members: group.members.map(({ name, weight }) => ({ name, weight })),
    dead: [...dead],
    hash: group.hash,
    seed: BigInt(group.seed),
    size: group.slots,
    slack: group.slack,
  });
}

async function ofNode(
  socket: string,
  flow: GivenFlow,
  interfaceName: string | null,
  dead: readonly string[],
): Promise<Told> {
  if (dead.length > 0) {
    throw new Exit('usage', '--dead is for a configuration: a running node knows who is down');
  }
  const failed = (error: Error) => {
    throw new Exit('failure', error.message);
  };
  const client = await ControlClient.open(socket).catch(failed);
  try {
    const { source, destination, ...rest } = flow;
    const params = {
      ...rest,
      source: String(source),
      destination: String(destination),
      interface: interfaceName,
    };
    const answer = (await client.request('explain', params).catch(failed)) as Omit<Told, 'home'>;
    const { group } = answer;
    // the node's own table says who has the slot; the home is the same everywhere, but where a table has a history
    const home =
      group === null ? null : (group.stickyHome ?? group.members[tableOf(group, []).home[group.slot]!]?.name);
    return { ...answer, home: home ?? null };
  } finally {
    client.close();
  }
}

function orUsage<T>(run: () => T): T {
  try {
    return run();
  } catch (error) {
    throw new Exit('usage', (error as Error).message);
  }
}

function jsonOf(flow: GivenFlow, told: Told): object {
  const { source, destination, protocol, ports, spi } = flow;
  const { hostName, mac, home, group, ...rest } = told;
  return {
    hostName,
    flow: {
      source: String(source),
      destination: String(destination),
      protocol: protocolName(protocol),
      sourcePort: ports?.source ?? null,
      destinationPort: ports?.destination ?? null,
      spi,
    },
    ...rest,
    group: group === null ? null : { ...group, home, why: whyOf(group, home) },
    mac,
  };
}

type Why = 'home' | 're-homed' | 'nobody-up';

function whyOf({ member }: ExplainedGroup, home: string | null): Why {
  if (member === null) return 'nobody-up';
  return member === home ? 'home' : 're-homed';
}

function textOf(flow: GivenFlow, told: Told): string[] {
  const { group, filter, route, routingInstance } = told;
  const reasons: Record<Explanation['interfaceWhy'], string> = {
    given: 'as given',
    'route to the source': `by the route to ${flow.source}`,
    'only one with a filter': 'the only one with a filter',
    'only one': 'the only one',
  };
  const lines = [`comes in by ${told.interface} (${reasons[told.interfaceWhy]})`];
  if (filter !== null) {
    const to = filter.action === 'routing-instance' ? `routing instance ${routingInstance}` : filter.action;
    const count = filter.count === null ? '' : `, counted in ${filter.count}`;
    lines.push(`filter ${filter.name} term ${filter.term} → ${to}${count}`);
  }
  if (group === null) return [...lines, ...plainEnd(told)];
  const { key, keyIs, hash, seed, hashValue, slot, slots } = group;
  lines.push(
    `route ${route!.prefix} in ${routingInstance} → virtual service ${group.virtualService} → group ${group.group}, key ${keyIs} = ${key}`,
    `${hash}(seed ${seed}) = ${hashValue} → slot ${whole(slot)} of ${whole(slots)} → ${memberText(group, told)}`,
  );
  return lines;
}

function memberText(group: ExplainedGroup, { home, mac, nextHop }: Told): string {
  const stateOf = (name: string | null) =>
    group.members.find((member) => member.name === name)?.up === true ? 'up' : 'down';
  const homeText = `home ${home} (${stateOf(home)})`;
  const { member } = group;
  if (member === null) return `${homeText}; nobody is up, so it is dropped`;
  const chosen = member === home ? homeText : `${homeText}, re-homed to ${member} (${stateOf(member)})`;
  if (nextHop === null) return `${chosen} → no route to it`;
  const hardware = mac === null ? '' : `, mac ${mac}`;
  return `${chosen} → next hop ${String(nextHop.address)}, ${nextHop.interface}${hardware}`;
}

/** Of a flow that no group has to do with. */
function plainEnd({ outcome, filter, route, routingInstance, nextHop, mac }: Told): string[] {
  if (outcome === 'discarded' && route === null) return [`discarded by the filter ${filter?.name}`];
  if (route === null) return [`no route to it in ${routingInstance}: dropped`];
  const at = `route ${route.prefix} (${route.protocol}) in ${routingInstance}`;
  switch (outcome) {
    case 'local':
      return [`${at} → an address of this node (${route.to}): not balanced`];
    case 'discarded':
      return [`${at} → discard`];
    default: {
      const hop = nextHop === null ? '' : ` → next hop ${String(nextHop.address)}, ${nextHop.interface}`;
      return [`${at} → ${route.to}: not balanced${hop}${mac === null ? '' : `, mac ${mac}`}`];
    }
  }
}
