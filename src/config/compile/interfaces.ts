import type { Address, Family } from '../../model/address.js';
import { Prefix } from '../../model/prefix.js';
import { notAHost, parseAddress, parsePrefix } from '../address.js';
import type { InterfaceConfig, PortConfig, PortKind } from '../config.js';
import { limits } from '../limits.js';
import type { Path } from '../problem.js';
import type { ConfigDocument } from '../schema.js';
import type { Context } from './context.js';

type InterfaceDocument = NonNullable<ConfigDocument['interfaces']>[string];
type UnitDocument = InterfaceDocument['unit'][string];

export const families = ['inet', 'inet6'] as const;

export function compileInterfaces(
  context: Context,
  instanceOf: ReadonlyMap<string, string>,
  zoneOf: ReadonlyMap<string, string>,
): { ports: PortConfig[]; interfaces: InterfaceConfig[] } {
  const ports: PortConfig[] = [];
  const interfaces: InterfaceConfig[] = [];
  for (const [name, entry] of Object.entries(context.document.interfaces ?? {})) {
    const path = ['interfaces', name];
    const kind = name === 'lo0' ? 'loopback' : name === 'st0' ? 'tunnel' : 'port';
    const mtu = entry.mtu ?? limits.mtu.fallback;
    if (kind === 'port') {
      ports.push({ name, port: portKind(context, path, entry.port), mac: macBytes(entry.mac), mtu });
      checkTags(context, path, entry);
    } else {
      for (const key of ['port', 'mac'] as const) {
        if (entry[key] !== undefined) context.report([...path, key], `${name} has none; remove it`, 'key');
      }
    }
    for (const [number, unit] of Object.entries(entry.unit)) {
      const at = [...path, 'unit', number];
      const logical = `${name}.${number}`;
      const addresses = unitAddresses(context, at, unit, kind);
      if (addresses.some((address) => address.family === 'inet6') && mtu < limits.mtu.leastInet6) {
        context.report(
          [...path, 'mtu'],
          `${mtu} is too small for IPv6, which wants ${limits.mtu.leastInet6}`,
        );
      }
      if (kind !== 'port' && unit['vlan-id'] !== undefined) {
        context.report([...at, 'vlan-id'], `${name} has no VLANs; remove it`, 'key');
      }
      interfaces.push({
        name: logical,
        kind,
        port: kind === 'port' ? name : null,
        mtu,
        vlanId: unit['vlan-id'] ?? null,
        addresses,
        filterInput: {
          inet: inputFilter(context, at, unit, 'inet'),
          inet6: inputFilter(context, at, unit, 'inet6'),
        },
        routingInstance: instanceOf.get(logical) ?? 'default',
        zone: zoneOf.get(logical) ?? null,
      });
    }
  }
  checkPortsShared(context, ports);
  checkAddressesShared(context, interfaces);
  return { ports, interfaces };
}

function portKind(context: Context, path: Path, port: InterfaceDocument['port']): PortKind {
  const at = [...path, 'port'];
  const kinds = Object.keys(port ?? {});
  if (kinds.length !== 1) {
    const advice =
      'write one of { af-xdp: eth0 }, { af-packet: eth0 }, { tun: tun0 }, { tap: tap0 }, { memory: wire }, { pcap: { read: in.pcap } }';
    if (port === undefined) context.report(at, `missing; ${advice}`, 'key');
    else
      context.report(at, `${kinds.length === 0 ? 'says nothing' : `has ${kinds.join(' and ')}`}; ${advice}`);
  }
  for (const kind of ['af-xdp', 'af-packet', 'tun', 'tap'] as const) {
    const name = port?.[kind];
    if (name !== undefined) return { kind, interface: name };
  }
  if (port?.pcap !== undefined) {
    const { read, write } = port.pcap;
    if (read === undefined && write === undefined) {
      context.report([...at, 'pcap'], 'says nothing; write read, write or both', 'key');
    }
    return {
      kind: 'pcap',
      read: read === undefined ? null : context.path(read),
      write: write === undefined ? null : context.path(write),
    };
  }
  return { kind: 'memory', wire: port?.memory ?? '' };
}

function macBytes(mac: string | undefined): Uint8Array | null {
  return mac === undefined ? null : Uint8Array.from(mac.split(':'), (byte) => Number.parseInt(byte, 16));
}

function checkTags(context: Context, path: Path, entry: InterfaceDocument): void {
  const units = new Map<number | undefined, string>();
  for (const [number, unit] of Object.entries(entry.unit)) {
    const vlan = unit['vlan-id'];
    const other = units.get(vlan);
    if (other !== undefined) {
      const same = vlan === undefined ? 'untagged like' : `the vlan-id ${vlan} of`;
      context.report([...path, 'unit', number], `${same} unit ${other}; give each its own vlan-id`, 'key');
    }
    units.set(vlan, number);
  }
}

function unitAddresses(
  context: Context,
  at: Path,
  unit: UnitDocument,
  kind: InterfaceConfig['kind'],
): Prefix[] {
  const addresses: Prefix[] = [];
  for (const family of families) {
    unit.family?.[family]?.address?.forEach((text, i) => {
      const value = parsePrefix(text)!;
      const path = [...at, 'family', family, 'address', i];
      const reason = notAHost(value.address) ?? endOfNetwork(value);
      if (reason !== undefined) context.report(path, `${text} is ${reason}; write an address of this node`);
      const whole = Prefix.host(value.address);
      if (kind === 'loopback' && value.length !== whole.length) {
        context.report(path, `${text} on lo0 is one address; write ${whole}`);
      }
      addresses.push(value);
    });
  }
  return addresses;
}

/** IPv4 networks keep their first and last address, except /31 (RFC 3021) and /32; IPv6 the first (RFC 4291 §2.6.1). */
function endOfNetwork(value: Prefix): string | undefined {
  const bits = value.address.bytes.length * 8;
  if (value.length >= bits - 1) return undefined;
  if (value.isNetwork())
    return value.family === 'inet' ? 'the network itself' : 'the subnet-router anycast address';
  if (value.family === 'inet6') return undefined;
  const hostBits = bits - value.length;
  const word = value.address.bytes.reduce((sum, byte) => sum * 256 + byte, 0);
  return word % 2 ** hostBits === 2 ** hostBits - 1 ? 'the broadcast address of its network' : undefined;
}

function inputFilter(context: Context, at: Path, unit: UnitDocument, family: Family): string | null {
  const name = unit.family?.[family]?.filter?.input;
  if (name === undefined) return null;
  const path = [...at, 'family', family, 'filter', 'input'];
  context.refer(path, `${family} filter`, name, ['firewall', 'family', family, 'filter']);
  return name;
}

function checkPortsShared(context: Context, ports: readonly PortConfig[]): void {
  const users = new Map<string, string[]>();
  for (const { name, port } of ports) {
    const things =
      'interface' in port
        ? [`kernel interface ${port.interface}`]
        : port.kind === 'memory'
          ? [`wire ${port.wire}`]
          : port.write === null
            ? []
            : [`capture ${port.write}`];
    for (const thing of things) {
      const others = users.get(thing) ?? [];
      // a wire has two ends
      if (others.length >= (port.kind === 'memory' ? 2 : 1)) {
        context.report(['interfaces', name, 'port'], `${thing} is used by ${others.join(' and ')} already`);
      }
      users.set(thing, [...others, name]);
    }
  }
}

function checkAddressesShared(context: Context, interfaces: readonly InterfaceConfig[]): void {
  const owners = new Map<string, string>();
  for (const { name, routingInstance, addresses } of interfaces) {
    const [port, unit] = [name.slice(0, name.lastIndexOf('.')), name.slice(name.lastIndexOf('.') + 1)];
    const count = { inet: 0, inet6: 0 };
    for (const { address, family } of addresses) {
      const key = `${routingInstance} ${address}`;
      const owner = owners.get(key);
      const path = ['interfaces', port, 'unit', unit, 'family', family, 'address', count[family]++];
      if (owner !== undefined) {
        context.report(
          path,
          `${address} is an address of ${owner} already, in routing instance ${routingInstance}`,
        );
      }
      owners.set(key, name);
    }
  }
}

/** Addresses on links and static routes: what a routing instance can reach. */
export class Reach {
  readonly #connected = new Map<string, Prefix[]>();
  readonly #own = new Map<string, string>();
  readonly #routes = new Map<string, Prefix[]>();

  constructor(interfaces: readonly InterfaceConfig[]) {
    for (const { kind, routingInstance, addresses } of interfaces) {
      for (const address of addresses) {
        // of several instances with one address the first counts
        const text = String(address.address);
        if (!this.#own.has(text)) this.#own.set(text, routingInstance);
        if (kind === 'port') append(this.#connected, routingInstance, address);
      }
    }
  }

  addRoute(instance: string, prefix: Prefix): void {
    append(this.#routes, instance, prefix);
  }

  /** The routing instance in which the address is our own. */
  instanceOfOwn(address: string): string | undefined {
    return this.#own.get(String(parseAddress(address)));
  }

  /** Our address on the link that the address is on. */
  ownTowards(instance: string, address: Address): Address | undefined {
    return this.#connected.get(instance)?.find((link) => link.contains(address))?.address;
  }

  connected(instance: string, address: string): boolean {
    return covers(this.#connected.get(instance), address);
  }

  reaches(instance: string, address: string): boolean {
    return this.connected(instance, address) || covers(this.#routes.get(instance), address);
  }
}

function append<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  const values = map.get(key);
  if (values === undefined) map.set(key, [value]);
  else values.push(value);
}

function covers(prefixes: readonly Prefix[] | undefined, text: string): boolean {
  const address = parseAddress(text)!;
  return prefixes?.some((prefix) => prefix.contains(address)) ?? false;
}
