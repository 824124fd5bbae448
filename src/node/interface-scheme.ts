import type { Config } from '../config/config.js';

/** A digest of interfaces with their zones and routing instances, which the nodes of a pair have alike where flows may be asymmetric. */
export function interfaceScheme({ interfaces, highAvailability: pair }: Config): string {
  const links = new Set([pair?.peer.interface, pair?.peer.forwarding?.interface]);
  const text = interfaces
    .filter(({ name }) => !links.has(name))
    .map(({ name, zone, routingInstance }) => `${name} ${zone ?? ''} ${routingInstance}`)
    .sort()
    .join('\n');
  // FNV-1a: against mistakes, not against anybody
  let hash = 0x811c9dc5;
  for (let at = 0; at < text.length; at++) hash = Math.imul(hash ^ text.charCodeAt(at), 0x01000193) >>> 0;
  return hash.toString(16).padStart(8, '0');
}
