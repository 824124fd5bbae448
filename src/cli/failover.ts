import { Command } from 'commander';
import type { GroupCommandView, HaGroupView } from '../control/redundancy.js';
import { askNode } from './ask.js';
import { Exit } from './exit-codes.js';
import { createOutput, type Output } from './output.js';

interface Flags {
  socket?: string;
  json?: boolean;
  force?: boolean;
}

const words = { 'peer-id': 'peer', 'services-redundancy-group': 'group' } as const;

/** `penstock failover peer-id N services-redundancy-group G` and `penstock failback services-redundancy-group G`. */
export function failoverCommand(verb: 'failover' | 'failback', output: Output = createOutput()): Command {
  const what =
    verb === 'failover'
      ? 'Hand a services redundancy group over to the peer. It stays there, also where preemption is on, until penstock failback or until the peer fails.'
      : 'Give a services redundancy group back to the node with the higher priority. Either node may be asked.';
  return new Command(verb)
    .summary(
      verb === 'failover'
        ? 'hand a services redundancy group over to the peer'
        : 'give a services redundancy group back to the node with the higher priority',
    )
    .description(what)
    .argument('<words...>', '[peer-id N] services-redundancy-group G')
    .option('--force', 'also when the other node does not have all sessions')
    .option('--socket <path>', "the node's control socket; needed where several nodes run")
    .option('--json', 'print one JSON object')
    .action(async (given: string[], flags: Flags) => {
      const { group, peer } = understandGroup(verb, given);
      const view = await askNode<GroupCommandView>(flags.socket, 'srg.command', {
        command: verb,
        group,
        ...(peer === undefined ? {} : { peer }),
        ...(flags.force === true ? { force: true } : {}),
      });
      if (flags.json === true) output.json(view);
      else
        output.data(
          `services-redundancy-group ${view.group}: ${view.status} here${view.asked ? ', the peer is asked' : ''}`,
        );
    });
}

/** Words may be cut short; a lone number is the group. Throws Exit. */
export function understandGroup(verb: string, given: readonly string[]): { group: number; peer?: number } {
  const found: { group?: number; peer?: number } = {};
  const usage = `${verb} takes [peer-id N] services-redundancy-group G`;
  const take = (key: 'group' | 'peer', text: string | undefined) => {
    if (text === undefined || !/^\d{1,3}$/.test(text))
      throw new Exit('usage', `${usage}, not ${text ?? 'nothing'}`);
    found[key] = Number(text);
  };
  if (given.length === 1) take('group', given[0]);
  else
    for (let i = 0; i < given.length; i += 2) {
      const word = Object.keys(words).find((each) => each.startsWith(given[i]!));
      if (word === undefined) throw new Exit('usage', `${usage}, not ${given[i]}`);
      take(words[word as keyof typeof words], given[i + 1]);
    }
  const { group, peer } = found;
  if (group === undefined) throw new Exit('usage', usage);
  return peer === undefined ? { group } : { group, peer };
}

/** As VRRP, and keepalived's notify script, have it. */
const states: Readonly<Record<string, 'active' | 'backup'>> = {
  active: 'active',
  master: 'active',
  backup: 'backup',
  fault: 'backup',
  stop: 'backup',
  deleted: 'backup',
};

/** `penstock ha-group NAME STATE`: who drives an ha-group says whether this node has it. */
export function haGroupCommand(output: Output = createOutput()): Command {
  return new Command('ha-group')
    .summary('say whether this node has an ha-group: for VRRP')
    .description(
      'Say whether this node has an ha-group (active, backup). As keepalived\'s notify script it takes what that appends: notify "/usr/bin/penstock ha-group NAME".',
    )
    .argument('<name>', 'of the ha-group')
    .argument('<state...>', 'active or backup; or what keepalived appends: INSTANCE V1 MASTER 150')
    .option('--socket <path>', "the node's control socket; needed where several nodes run")
    .option('--json', 'print one JSON object')
    .action(async (name: string, state: string[], flags: Flags) => {
      const view = await askNode<HaGroupView>(flags.socket, 'ha-group.tell', {
        name,
        told: understandState(state),
      });
      if (flags.json === true) output.json(view);
      else output.data(`ha-group ${view.name}: ${view.told}`);
    });
}

/** The state that the words say: the only one, or the third of keepalived's. Throws Exit. */
export function understandState(given: readonly string[]): 'active' | 'backup' {
  const [type, , third] = given;
  const word = /^(INSTANCE|GROUP)$/.test(type ?? '') ? third : given[0];
  const state = Object.hasOwn(states, (word ?? '').toLowerCase()) ? states[word!.toLowerCase()] : undefined;
  if (state === undefined || (word === given[0] && given.length > 1))
    throw new Exit('usage', `${given.join(' ')} says neither active nor backup`);
  return state;
}
