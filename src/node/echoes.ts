/**
 * Echo requests that a pair's node sends: IP monitors all the time, activeness probes while the ICL is down. What is due goes
 * out as one action; answers come back as punts to identifiers of the node's own range.
 */
import type { Config, EchoTargetConfig } from '../config/config.js';
import { answerEcho, type EchoState, startEcho, tickEcho } from '../ha/echo.js';
import { wantsProbe } from '../ha/srg.js';
import { Address } from '../model/address.js';
import { adjacencies } from '../routing/table.js';
import type { Bytes } from '../wire/bytes.js';
import { decodeIcmp, encodeIcmp, icmpType, icmpVerifies, icmpv6Type } from '../wire/icmp.js';
import { encodeIp, ipProtocol } from '../wire/ip.js';
import { parseFrame } from '../wire/packet.js';
import type { EchoRequest, NodeAction, NodeEvent } from './event.js';
import { probePorts } from './health.js';
import type { Stepped } from './services.js';
import { policyOf } from './srg.js';
import type { NodeState } from './state.js';

export interface EchoRun {
  readonly target: EchoTargetConfig;
  readonly echo: EchoState;
  /** of its requests and answers */
  readonly identifier: number;
}

/** Names the echoes of an IP monitor. */
export const monitorEcho = ({ routingInstance, destination, source }: EchoTargetConfig) =>
  `monitor ${routingInstance} ${destination} ${source ?? '-'}`;
/** Names those of a group's activeness probe. */
export const probeEcho = (group: number) => `probe ${group}`;

/** Whether a configuration may ever send one. */
export function asksForEchoes({ highAvailability: pair }: Config): boolean {
  return (
    pair?.groups.some(
      ({ activenessProbe, monitor }) =>
        activenessProbe?.kind === 'icmp' || monitor.objects.some(({ ip }) => ip !== null),
    ) ?? false
  );
}

/** Starts and ends those that are wanted and no longer so, and sends what is due. */
export function stepEchoes(before: NodeState, nowMs: number): Stepped {
  const wanted = wantedEchoes(before);
  const runs = before.redundancy!.echoes;
  if (wanted.size === 0 && runs.size === 0) return { state: before, actions: [] };
  const echoes = new Map<string, EchoRun>();
  const requests: EchoRequest[] = [];
  const taken = new Set([...runs.values()].map(({ identifier }) => identifier));
  let isSame = runs.size === wanted.size;
  for (const [key, target] of wanted) {
    const known = runs.get(key);
    const run = known ?? { target, echo: startEcho(nowMs), identifier: freeIdentifier(taken) };
    taken.add(run.identifier);
    const { state: echo, send } = tickEcho(run.echo, target, nowMs);
    const next = known?.echo === echo && known.target === target ? known : { ...run, target, echo };
    isSame &&= next === known;
    echoes.set(key, next);
    const source = send === null ? null : (target.source ?? sourceTowards(before, target));
    // without a way there nothing can be sent, which counts as lost
    if (send === null || source === null) continue;
    const { destination, routingInstance } = target;
    requests.push({
      source,
      destination,
      routingInstance: before.numberings.routingInstances.of(routingInstance),
      identifier: run.identifier,
      sequence: send,
    });
  }
  const state = isSame ? before : { ...before, redundancy: { ...before.redundancy!, echoes } };
  const actions: NodeAction[] = requests.length === 0 ? [] : [{ kind: 'send-echoes', requests }];
  return { state, actions };
}

function wantedEchoes({ redundancy, srgs }: NodeState): Map<string, EchoTargetConfig> {
  const wanted = new Map<string, EchoTargetConfig>();
  const { config, iclUp } = redundancy!;
  for (const group of config.groups) {
    for (const { ip } of group.monitor.objects)
      for (const member of ip?.members ?? []) wanted.set(monitorEcho(member), member);
    const probe = group.activenessProbe;
    const machine = srgs.get(group.id)?.machine;
    if (probe?.kind !== 'icmp' || machine === undefined) continue;
    if (wantsProbe(machine, policyOf(config, group), { iclUp })) wanted.set(probeEcho(group.id), probe);
  }
  return wanted;
}

function freeIdentifier(taken: ReadonlySet<number>): number {
  let identifier = probePorts[0];
  while (taken.has(identifier)) identifier++;
  return identifier;
}

function sourceTowards({ routes, config }: NodeState, target: EchoTargetConfig): Address | null {
  const adjacency = adjacencies(routes)(target.routingInstance, target.destination);
  const own = config!.interfaces.find(({ name }) => name === adjacency?.interface)?.addresses ?? [];
  return own.find(({ family }) => family === target.destination.family)?.address ?? null;
}

export function echoesDeadline(echoes: ReadonlyMap<string, EchoRun>): number {
  let earliest = Infinity;
  for (const { echo } of echoes.values()) earliest = Math.min(earliest, echo.nextMs);
  return earliest;
}

/** An answer came. */
export function echoAnswered(
  state: NodeState,
  { identifier, sequence, source }: { identifier: number; sequence: number; source: Address },
): Stepped {
  for (const [key, run] of state.redundancy?.echoes ?? []) {
    if (run.identifier !== identifier || !run.target.destination.equals(source)) continue;
    const echo = answerEcho(run.echo, sequence);
    if (echo === run.echo) break;
    const echoes = new Map(state.redundancy!.echoes).set(key, { ...run, echo });
    return { state: { ...state, redundancy: { ...state.redundancy!, echoes } }, actions: [] };
  }
  return { state, actions: [] };
}

/** What a request carries, so that its answer is told from those of health checks. */
const mark = new TextEncoder().encode('penstock pair\0\0\0');
const hopLimit = 64;

/** The packet of a request, without link header. */
export function encodeEcho({ source, destination, identifier, sequence }: EchoRequest): Bytes {
  const isV4 = destination.family === 'inet';
  const packet = { version: isV4 ? 4 : 6, source: source.bytes, destination: destination.bytes } as const;
  const own = Uint8Array.of(identifier >> 8, identifier & 0xff, sequence >> 8, sequence & 0xff);
  const type = isV4 ? icmpType.echoRequest : icmpv6Type.echoRequest;
  const protocol = isV4 ? ipProtocol.icmp : ipProtocol.icmpv6;
  const message = encodeIcmp(packet, type, 0, own, mark);
  return encodeIp({ ...packet, protocol, ttl: hopLimit, identification: sequence }, message);
}

/** What a punted frame says of an echo of a pair; null: it is none. */
export function echoAnswer(frame: Bytes): Extract<NodeEvent, { kind: 'echo-answered' }> | null {
  const parsed = parseFrame(frame);
  if (!parsed.ok || parsed.value.ip === null) return null;
  const { ip, transport } = parsed.value.ip;
  if (transport === null || (ip.protocol !== ipProtocol.icmp && ip.protocol !== ipProtocol.icmpv6))
    return null;
  const icmp = decodeIcmp(transport, ip.version);
  if (!icmp.ok || !icmpVerifies(transport, ip)) return null;
  const { type, identifier, sequence, body } = icmp.value;
  if (type !== (ip.version === 4 ? icmpType.echoReply : icmpv6Type.echoReply)) return null;
  if (body.length !== mark.length || body.some((byte, i) => byte !== mark[i])) return null;
  return { kind: 'echo-answered', identifier, sequence, source: new Address(ip.source) };
}
