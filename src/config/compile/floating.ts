/** Floating addresses of groups that manage IPsec: where they, the ICL and the interface towards the peers have to be. */
import type { Prefix } from '../../model/prefix.js';
import type { HaPeerConfig, InterfaceConfig, SrgConfig, VpnConfig } from '../config.js';
import type { Path } from '../problem.js';
import type { Context } from './context.js';
import type { Around } from './high-availability.js';

export function checkFloating(
  context: Context,
  groups: readonly SrgConfig[],
  peer: HaPeerConfig,
  around: Around,
  groupsPath: Path,
): void {
  if (!context.sound('interfaces') || !context.sound('routing-instances')) return;
  const owners = new Map<string, number>();
  for (const group of groups.filter(({ managesIpsec }) => managesIpsec)) {
    const path = [...groupsPath, String(group.id)];
    if (group.prefixes.length === 0) {
      if (context.sound(...path, 'prefix-list') && context.sound('policy-options'))
        context.report(
          [...path, 'prefix-list'],
          'missing; managed-services ipsec wants the floating address that IKE peers send to',
          'key',
        );
      continue;
    }
    const found = floatingOf(group, around.interfaces);
    if (found.length === 0)
      context.report(
        [...path, 'prefix-list'],
        `none of its addresses is on lo0 in ${instancesOf(group)}; add the floating address there`,
        'key',
      );
    for (const { onto, address } of found) {
      checkInstance(context, path, onto, address, peer, around);
      checkZone(context, path, onto, address, around);
      const key = `${onto.routingInstance} ${address}`;
      const other = owners.get(key);
      if (other !== undefined)
        context.report(
          [...path, 'prefix-list'],
          `${address} is in services-redundancy-group ${other} too; an address floats with one group`,
          'key',
        );
      owners.set(key, group.id);
    }
  }
}

const instancesOf = ({ prefixes }: SrgConfig) =>
  [...new Set(prefixes.map(({ routingInstance }) => `routing instance ${routingInstance}`))].join(' and ');

function floatingOf(
  group: SrgConfig,
  interfaces: readonly InterfaceConfig[],
): { onto: InterfaceConfig; address: string }[] {
  return interfaces
    .filter(({ kind }) => kind === 'loopback')
    .flatMap((onto) =>
      onto.addresses
        .filter(({ address }) =>
          group.prefixes.some(
            ({ prefix, routingInstance }) =>
              routingInstance === onto.routingInstance && prefix.contains(address),
          ),
        )
        .map(({ address }) => ({ onto, address: String(address) })),
    );
}

/** The gateway of IKE is looked up where the ICL is, and by addresses of that routing instance only. */
function checkInstance(
  context: Context,
  path: Path,
  onto: InterfaceConfig,
  address: string,
  peer: HaPeerConfig,
  { interfaces }: Around,
): void {
  const instance = onto.routingInstance;
  const where = `${address} on ${onto.name} is in routing instance ${instance}`;
  if (instance !== peer.routingInstance)
    context.report(
      [...path, 'prefix-list'],
      `${where}, the ICL in ${peer.routingInstance}; put both into one`,
      'key',
    );
  else if (!interfaces.some((each) => each.kind === 'port' && each.routingInstance === instance))
    context.report(
      [...path, 'prefix-list'],
      `${where}, which has no physical interface: nothing gets there`,
      'key',
    );
}

/** A packet from the interface towards an IKE peer to lo0 must not change its zone. */
function checkZone(
  context: Context,
  path: Path,
  onto: InterfaceConfig,
  address: string,
  around: Around,
): void {
  if (onto.zone === null || !context.sound('security')) return;
  for (const vpn of around.vpns) {
    if (String(vpn.manual.localAddress) !== address || vpn.manual.routingInstance !== onto.routingInstance)
      continue;
    const towards = interfaceTowards(vpn, around);
    if (towards === undefined || towards.zone === null || towards.zone === onto.zone) continue;
    context.report(
      [...path, 'prefix-list'],
      `${address} on ${onto.name} is in zone ${onto.zone}, ${towards.name} towards ${vpn.manual.gateway} in ${towards.zone}; put both into one`,
      'key',
    );
    return;
  }
}

/** By the file alone: a link that the peer is on, or that of the static route to it. */
function interfaceTowards(
  vpn: VpnConfig,
  { interfaces, routingInstances }: Around,
): InterfaceConfig | undefined {
  const { routingInstance, gateway } = vpn.manual;
  const onLink = (address: Prefix['address']) =>
    interfaces.find(
      (each) =>
        each.kind === 'port' &&
        each.routingInstance === routingInstance &&
        each.addresses.some((own) => own.contains(address)),
    );
  const direct = onLink(gateway);
  if (direct !== undefined) return direct;
  const routes = routingInstances.find(({ name }) => name === routingInstance)?.staticRoutes ?? [];
  const best = routes
    .filter(({ prefix }) => prefix.contains(gateway))
    .sort((a, b) => b.prefix.length - a.prefix.length || a.preference - b.preference)[0];
  if (best?.nextHop.kind === 'address') return onLink(best.nextHop.address);
  return best?.nextHop.kind === 'ecmp' ? onLink(best.nextHop.members[0]!.address) : undefined;
}
