import type { Address } from '../../model/address.js';
import type { InterfaceConfig, KernelRoutesConfig, PortConfig } from '../config.js';
import { limits } from '../limits.js';
import type { Context } from './context.js';
import { policyChain } from './policy-options.js';

const path = ['routing-options', 'kernel'];

export function compileKernelRoutes(
  context: Context,
  {
    ports,
    interfaces,
    tunnelEnds,
  }: {
    ports: readonly PortConfig[];
    interfaces: readonly InterfaceConfig[];
    /** our address of each VPN */
    tunnelEnds: readonly Address[];
  },
): KernelRoutesConfig | null {
  const section = context.document['routing-options']?.kernel;
  if (section === undefined) return null;
  const kinds = [...new Set(section.export ?? [])];
  if (kinds.length === 0 && section.import === undefined)
    context.report(path, 'does nothing; write export, import or both', 'key');
  kinds.forEach((kind, i) => {
    const lack = lacking(context, kind, interfaces, tunnelEnds);
    if (lack !== undefined) context.report([...path, 'export', i], lack);
  });
  const shares = ports.some(({ port }) => port.kind === 'af-packet' || port.kind === 'af-xdp');
  if (section.import !== undefined && !shares && context.sound('interfaces'))
    context.report(
      [...path, 'import'],
      'no port is on an interface of the kernel (af-xdp or af-packet)',
      'key',
    );
  const name = section.interface ?? limits.kernelRoutes.interface;
  const other = ports.find(({ port }) => 'interface' in port && port.interface === name);
  if (other !== undefined)
    context.report([...path, 'interface'], `${name} is the interface of ${other.name}; choose another`);
  const { table, protocol } = limits.kernelRoutes;
  const tableNumber = section.table ?? table.fallback;
  if ((table.taken as readonly number[]).includes(tableNumber))
    context.report(
      [...path, 'table'],
      `${tableNumber} is a table that the kernel routes by; choose another, e.g. ${table.fallback}`,
    );
  const protocolNumber = section.protocol ?? protocol.fallback;
  const owner = (protocol.taken as Readonly<Record<number, string>>)[protocolNumber];
  if (owner !== undefined)
    context.report(
      [...path, 'protocol'],
      `${protocolNumber} is ${owner}'s; choose another, e.g. ${protocol.fallback}`,
    );
  const exportPolicy = policyChain(context, [...path, 'export-policy'], section['export-policy']);
  if (exportPolicy.length > 0 && kinds.length === 0)
    context.report([...path, 'export-policy'], 'decides about nothing; write export, too', 'key');
  for (const [i, name] of exportPolicy.entries()) {
    const statement = context.document['policy-options']?.['policy-statement']?.[name];
    const terms = [
      ...(statement?.term ?? []),
      ...(statement?.then === undefined ? [] : [{ then: statement.then }]),
    ];
    if (terms.some(({ then }) => then['next-hop'] !== undefined))
      context.report(
        [...path, 'export-policy', i],
        `${name} sets a next-hop, which the kernel's routes do not have; let the routing daemon set it`,
      );
  }
  return {
    export: kinds,
    exportPolicy,
    import: section.import !== undefined,
    interface: name,
    table: tableNumber,
    protocol: protocolNumber,
  };
}

/** Why there can never be a route of the kind. */
function lacking(
  context: Context,
  kind: KernelRoutesConfig['export'][number],
  interfaces: readonly InterfaceConfig[],
  tunnelEnds: readonly Address[],
): string | undefined {
  if (kind === 'static' || kind === 'direct' || kind === 'signal') return undefined;
  if (kind === 'virtual-service') {
    const instances = context.document.services?.['traffic-load-balance']?.instance ?? {};
    const has = Object.values(instances).some(
      (instance) => Object.keys(instance['virtual-service']).length > 0,
    );
    return has || !context.sound('services') ? undefined : 'there is no virtual service here; leave it out';
  }
  if (!context.sound('security', 'ipsec')) return undefined;
  if (tunnelEnds.length === 0) return 'there is no VPN here; leave it out';
  if (kind === 'ari-ts' || !context.sound('interfaces')) return undefined;
  const loopback = new Set(
    interfaces.flatMap(({ kind: of, addresses }) =>
      of === 'loopback' ? addresses.map(({ address }) => String(address)) : [],
    ),
  );
  const has = tunnelEnds.some((address) => loopback.has(String(address)));
  return has ? undefined : 'no VPN has its local-address on lo0, where it can be anycast; leave it out';
}
