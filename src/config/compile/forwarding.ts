/** Forwarding modes of virtual services: what each asks of real services, interfaces and the other virtual services. */
import type { Address } from '../../model/address.js';
import type {
  ForwardingMode,
  InterfaceConfig,
  RealServiceConfig,
  ServicePortConfig,
  TlbInstanceConfig,
  VirtualServiceConfig,
} from '../config.js';
import type { Path } from '../problem.js';
import type { ConfigDocument } from '../schema.js';
import type { Context } from './context.js';
import type { Reach } from './interfaces.js';

type TlbDocument = NonNullable<
  NonNullable<ConfigDocument['services']>['traffic-load-balance']
>['instance'][string];
type ServiceDocument = NonNullable<TlbDocument['virtual-service'][string]['service']>;

export const isTunnel = (mode: ForwardingMode): mode is 'ipip' | 'gue' => mode === 'ipip' || mode === 'gue';

/** The mode that a virtual service reaches a real service by. */
export const modeOf = (service: VirtualServiceConfig, member: RealServiceConfig): ForwardingMode =>
  member.mode ?? service.mode;

export function compileServicePorts(
  context: Context,
  path: Path,
  document: ServiceDocument,
): ServicePortConfig[] {
  const seen = new Map<string, string>();
  return Object.entries(document).map(([name, entry]) => {
    const virtualPort = entry['virtual-port'];
    const place = `${entry.protocol} ${virtualPort}`;
    const other = seen.get(place);
    if (other !== undefined)
      context.report([...path, name, 'virtual-port'], `${place} is service ${other}'s already`);
    seen.set(place, name);
    return {
      name,
      protocol: entry.protocol,
      virtualPort,
      serverListeningPort: entry['server-listening-port'] ?? virtualPort,
    };
  });
}

export function checkForwarding(
  context: Context,
  path: Path,
  instances: readonly TlbInstanceConfig[],
  interfaces: readonly InterfaceConfig[],
  reach: Reach,
): void {
  for (const instance of instances) {
    const source = interfaces.find(({ name }) => name === instance.interface);
    for (const service of instance.virtualServices) {
      const at = [...path, instance.name, 'virtual-service', service.name];
      const group = instance.groups.find(({ name }) => name === service.group);
      if (group === undefined) continue;
      checkPorts(context, at, service, group.realServices);
      for (const member of group.realServices) {
        const from = member.mode === null ? at : [...path, instance.name, 'real-service', member.name];
        const wrong = memberProblem(context, service, member, group.routingInstance, source, reach);
        if (wrong !== undefined) context.report([...from, 'mode'], wrong);
      }
    }
  }
  checkAnswers(context, path, instances);
}

function checkPorts(
  context: Context,
  at: Path,
  service: VirtualServiceConfig,
  members: readonly RealServiceConfig[],
): void {
  const others = members.filter((member) => modeOf(service, member) !== 'translated');
  if (service.services.length > 0 && others.length > 0) {
    const { name } = others[0]!;
    context.report(
      [...at, 'service'],
      `ports are of mode translated only, and ${name} is not; remove it`,
      'key',
    );
  }
}

/** What is wrong with reaching a real service that way. */
function memberProblem(
  context: Context,
  service: VirtualServiceConfig,
  member: RealServiceConfig,
  routingInstance: string,
  source: InterfaceConfig | undefined,
  reach: Reach,
): string | undefined {
  const { name, address } = member;
  const mode = modeOf(service, member);
  if (mode === 'translated' && service.address.bytes.every((byte) => byte === 0)) {
    return `${service.address} stands for every address; translated wants one that clients send to`;
  }
  if (mode === 'translated' && address.family !== service.address.family) {
    return `${name} (${address}) is of another family than ${service.address}; translated keeps the family`;
  }
  if (!context.sound('interfaces')) return undefined;
  if (isTunnel(mode) && source !== undefined && !hasFamily(source, address)) {
    return `${source.name} has no ${address.family} address to send ${mode} packets to ${name} from`;
  }
  if (mode === 'layer2-direct-server-return' && !reach.connected(routingInstance, String(address))) {
    return `${name} (${address}) is on no link of routing instance ${routingInstance}; write direct-server-return`;
  }
  return undefined;
}

const hasFamily = ({ addresses }: InterfaceConfig, { family }: Address) =>
  addresses.some((own) => own.family === family);

/**
 * Answers of a real service are told apart by its address and port. Virtual services that share one need the flow
 * memory, and so does one that translates all ports besides another.
 */
function checkAnswers(context: Context, path: Path, instances: readonly TlbInstanceConfig[]): void {
  const owners = new Map<string, { name: string; flowMemory: boolean; address: string; port: number }>();
  for (const instance of instances) {
    for (const service of instance.virtualServices) {
      const group = instance.groups.find(({ name }) => name === service.group);
      for (const member of group?.realServices ?? []) {
        if (modeOf(service, member) !== 'translated') continue;
        const ports = service.services.map((entry) => ({
          place: `${entry.protocol} ${entry.serverListeningPort}`,
          port: entry.virtualPort,
        }));
        for (const { place, port } of ports.length > 0 ? ports : [{ place: 'all ports', port: 0 }]) {
          const key = `${group!.routingInstance} ${member.address} ${place}`;
          const own = {
            name: service.name,
            flowMemory: service.flowMemory,
            address: String(service.address),
            port,
          };
          const other = owners.get(key);
          owners.set(key, own);
          const same = other === undefined || (other.address === own.address && other.port === port);
          if (same || (other.flowMemory && own.flowMemory)) continue;
          context.report(
            [...path, instance.name, 'virtual-service', service.name, 'group'],
            `${place} of ${member.name} answer for virtual service ${other.name} too; write flow-memory in both`,
          );
          return;
        }
      }
    }
  }
}
