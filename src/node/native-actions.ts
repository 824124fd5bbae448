/** Performs the actions that concern the native core, on one node of a plane. */
import type { Secret } from '../model/secret.js';
import type {
  InboundSaOptions,
  LivenessCommand,
  NativePlane,
  OutboundSaOptions,
  SelectorEntry,
} from '../pipeline/native.js';
import { native } from '../pipeline/native.js';
import { encodeEcho } from './echoes.js';
import type {
  AddedSa,
  BfdCommand,
  InboundSaRequest,
  NodeAction,
  NodeEvent,
  OutboundSaRequest,
} from './event.js';
import { groupBy } from './group-by.js';
import { prefixBytes } from './tables.js';
import type { SaKey, Tunnel } from './tunnel.js';

/** The events that answer the action, or null when it is not one for the native core. */
export function performNative(plane: NativePlane, node: number, action: NodeAction): NodeEvent[] | null {
  switch (action.kind) {
    case 'publish':
      plane.publish(node, action.parts);
      return [];
    case 'add-sas':
      return [addSas(plane, node, action)];
    case 'change-sas':
      changeSas(plane, node, action);
      return [];
    case 'retire-sas':
      if (action.inbound.length > 0) plane.retireSas(node, 'inbound', [...action.inbound]);
      if (action.outbound.length > 0) plane.retireSas(node, 'outbound', [...action.outbound]);
      return [];
    case 'liveness':
      keepAlive(plane, node, action.commands);
      return [];
    case 'bfd-changed':
      return [action];
    case 'build-group': {
      const built = native().chashBuild(action.options);
      return [{ kind: 'group-built', group: action.group, ticket: action.ticket, ...built }];
    }
    case 'inject':
      // a port that takes none just now has them again in the next round
      for (const { port, frame } of action.frames) plane.inject(node, port, frame);
      return [];
    case 'send-echoes':
      for (const [instance, requests] of groupBy(action.requests, ({ routingInstance }) => routingInstance))
        plane.originate(node, instance, requests.map(encodeEcho));
      return [];
    default:
      return null;
  }
}

function keepAlive(plane: NativePlane, node: number, commands: readonly BfdCommand[]): void {
  const copies: Uint8Array[] = [];
  const revealed = commands.map((command): LivenessCommand => {
    if (command.kind !== 'open') return command;
    if (command.auth === null) return { ...command, auth: null };
    const key = Uint8Array.from(command.auth.key.reveal());
    copies.push(key);
    return { ...command, auth: { ...command.auth, key } };
  });
  try {
    plane.liveness(node, revealed);
  } finally {
    for (const key of copies) key.fill(0);
  }
}

function addSas(plane: NativePlane, node: number, action: NodeAction & { kind: 'add-sas' }): NodeEvent {
  const { ticket, nodeId, inbound, outbound } = action;
  const inboundIndices = withKeys(inbound, (keys) =>
    plane.addInboundSas(
      node,
      inbound.map((request, i) => inboundOptions(request, keys[i]!)),
    ),
  );
  const outboundIndices = withKeys(outbound, (keys) =>
    plane.addOutboundSas(
      node,
      outbound.map((request, i) => outboundOptions(request, keys[i]!, nodeId)),
    ),
  );
  const added = (requests: readonly InboundSaRequest[], indices: readonly number[]): AddedSa[] =>
    requests.map(({ tunnel, spi }, i) => ({ tunnel: tunnel.name, spi, index: indices[i]! }));
  return {
    kind: 'sas-added',
    ticket,
    inbound: added(inbound, inboundIndices),
    outbound: added(outbound, outboundIndices),
  };
}

/** SAs keep their keys, numbers and workers: what stands here for these is not looked at. */
const anyKeys: KeyOptions = { key: new Uint8Array(20) };
const kept = {
  anchor: 0,
  nodeId: 1,
  epoch: 0,
  nextSequence: 1n,
};

function changeSas(plane: NativePlane, node: number, action: NodeAction & { kind: 'change-sas' }): void {
  const { inbound, outbound } = action;
  plane.changeSas(
    node,
    'inbound',
    inbound.map((change) => ({ index: change.index, ...inboundOptions({ ...change, ...kept }, anyKeys) })),
  );
  plane.changeSas(
    node,
    'outbound',
    outbound.map((change) => ({
      index: change.index,
      ...outboundOptions({ ...change, ...kept }, anyKeys, kept.nodeId),
    })),
  );
}

type KeyOptions = Pick<InboundSaOptions, 'algorithm' | 'key' | 'authenticationKey'>;

/** Copies of the keys, which are zero when `use` has returned or thrown. */
function withKeys<T>(requests: readonly SaKey[], use: (keys: KeyOptions[]) => T): T {
  const copy = (secret: Secret) => Uint8Array.from(secret.reveal());
  const keys = requests.map(
    ({ algorithm = 'aes-gcm', key, authenticationKey = null }): KeyOptions => ({
      algorithm,
      key: copy(key),
      ...(authenticationKey === null ? {} : { authenticationKey: copy(authenticationKey) }),
    }),
  );
  try {
    return use(keys);
  } finally {
    for (const { key, authenticationKey } of keys) {
      key.fill(0);
      authenticationKey?.fill(0);
    }
  }
}

const noLifetime = {
  softSeconds: 0,
  hardSeconds: 0,
  softPackets: 0n,
  hardPackets: 0n,
  softKilobytes: 0n,
  hardKilobytes: 0n,
};

/** The softer one asks for a rekey at nine tenths. */
function lifetimeOf({ lifetimeKilobytes: kilobytes }: Tunnel) {
  if (kilobytes == null) return noLifetime;
  const hardKilobytes = BigInt(kilobytes);
  return { ...noLifetime, hardKilobytes, softKilobytes: (hardKilobytes * 9n) / 10n };
}

const allPorts = [0, 65_535] as const;

function commonOptions(tunnel: Tunnel) {
  return {
    extendedSequenceNumber: tunnel.extendedSequenceNumber,
    selectors: tunnel.selectors.map(
      ({ local, remote, protocol = 0, localPorts = allPorts, remotePorts = allPorts }): SelectorEntry => ({
        local: prefixBytes(local),
        remote: prefixBytes(remote),
        protocol,
        localPorts: [...localPorts],
        remotePorts: [...remotePorts],
      }),
    ),
    tunnel: tunnel.id,
    lifetime: lifetimeOf(tunnel),
  };
}

function inboundOptions(
  { tunnel, anchor, spi, highestSequence }: Omit<InboundSaRequest, 'key'>,
  keys: KeyOptions,
): InboundSaOptions {
  const { antiReplayWindowSize, copyOuterDscp } = tunnel;
  return {
    ...commonOptions(tunnel),
    ...keys,
    anchor,
    spi,
    replayWindow: antiReplayWindowSize ?? 0,
    ...(highestSequence === undefined ? {} : { highestSequence }),
    copyOuterDscp,
  };
}

function outboundOptions(
  { tunnel, anchor, spi, epoch, nextSequence, gate, mtu, routingInstance }: Omit<OutboundSaRequest, 'key'>,
  keys: KeyOptions,
  nodeId: number,
): OutboundSaOptions {
  return {
    ...commonOptions(tunnel),
    ...keys,
    anchor,
    spi,
    source: tunnel.localAddress.bytes,
    destination: tunnel.gateway.bytes,
    nodeId,
    epoch,
    nextSequence,
    ...(gate === undefined ? {} : { gate }),
    dfBit: tunnel.dfBit,
    dscp: tunnel.outerDscp ?? -1,
    mtu,
    udp: tunnel.udp == null ? null : { ...tunnel.udp },
    routingInstance,
  };
}
