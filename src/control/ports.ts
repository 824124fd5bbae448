/** Opens the ports of a configuration on a node of a plane. */
import { createHash } from 'node:crypto';
import type { Config, PortConfig, PortKind } from '../config/config.js';
import type { PortBinding } from '../node/event.js';
import type { NativePlane } from '../pipeline/native.js';
import { codeOf, StartError } from './errors.js';

/** frames a memory wire holds, each direction and worker */
const wireCapacity = 1024;

/**
 * Opens these ports of a configuration: all or none. By the port's name. Throws StartError that names the port and the
 * mend: what cannot be opened when it is asked for is a mistake, other than what goes later.
 */
export function openPorts(
  plane: NativePlane,
  node: number,
  config: Config,
  ports: readonly PortConfig[],
): Map<string, PortBinding> {
  const bindings = new Map<string, PortBinding>();
  try {
    openEach(plane, node, config, ports, bindings);
    return bindings;
  } catch (error) {
    for (const { index } of bindings.values()) plane.removePort(node, index);
    throw error;
  }
}

function openEach(
  plane: NativePlane,
  node: number,
  config: Config,
  ports: readonly PortConfig[],
  bindings: Map<string, PortBinding>,
): void {
  const wires = new Map<string, PortConfig>();
  for (const port of ports) {
    const { port: kind } = port;
    if (kind.kind === 'memory') {
      // both ends of a wire are in this process: two ports that name it
      const other = wires.get(kind.wire);
      wires.set(kind.wire, port);
      if (other === undefined) continue;
      const [first, second] = plane.addWire(node, node, wireCapacity);
      bindings.set(other.name, { index: first, mac: other.mac ?? madeMac(config, other) });
      bindings.set(port.name, { index: second, mac: port.mac ?? madeMac(config, port) });
      wires.delete(kind.wire);
      continue;
    }
    try {
      const index = openPort(plane, node, port, kind);
      const mac = port.mac ?? plane.portStatus(node, index).mac ?? madeMac(config, port);
      bindings.set(port.name, { index, mac });
    } catch (error) {
      throw portError(port.name, error as Error);
    }
  }
  for (const [wire, { name }] of wires) {
    throw new StartError('failure', `${name}: wire ${wire} has one end only; name it at another port, too`);
  }
}

function openPort(
  plane: NativePlane,
  node: number,
  { mac, mtu }: PortConfig,
  kind: Exclude<PortKind, { kind: 'memory' }>,
): number {
  switch (kind.kind) {
    case 'af-xdp':
      return plane.addXdpSocket(node, kind.interface, mac !== null);
    case 'af-packet':
      return plane.addPacketSocket(node, kind.interface, mac !== null);
    case 'tun':
    case 'tap': {
      const own = mac === null ? {} : { mac };
      return plane.addTun(node, { interfaceName: kind.interface, tap: kind.kind === 'tap', mtu, ...own });
    }
    case 'pcap':
      return plane.addCapture(node, {
        ...(kind.read === null ? {} : { read: kind.read }),
        ...(kind.write === null ? {} : { write: kind.write }),
        epochNs: coreEpochNs(),
      });
  }
}

function portError(name: string, error: Error): StartError {
  const privilege = codeOf(error) === 'EPERM' || codeOf(error) === 'EACCES';
  return new StartError(privilege ? 'privilege' : 'failure', `${name}: ${error.message}`, { cause: error });
}

/** ns since 1970 that the core's clock stands at 0, for the time stamps of captures */
const coreEpochNs = () => BigInt(Date.now()) * 1_000_000n - process.hrtime.bigint();

/** A locally administered MAC that host name and port decide. */
function madeMac(config: Config, port: PortConfig): Uint8Array {
  const mac = createHash('sha256').update(`${config.system.hostName} ${port.name}`).digest().subarray(0, 6);
  mac[0] = (mac[0]! & 0xfc) | 0x02;
  return Uint8Array.from(mac);
}
