import { Address } from '../../model/address.js';
import { isServedHere } from '../../node/icd.js';
import type { NodeState } from '../../node/state.js';
import { policyKey } from '../../node/tables.js';
import type { SaStatus, SessionWing } from '../../pipeline/native.js';
import { adjacencies } from '../../routing/table.js';
import { type NodeView, protocolName } from './node-view.js';
import type { SessionsView, TunnelSessionView, WingView } from './views.js';

const mostInAPage = 1_000;

/** A page of sessions, from a worker's cursor on. Those that come and go meanwhile may be missed or be there twice. */
export function showSessions(
  view: NodeView,
  params: { worker?: number | undefined; cursor?: string | undefined },
): SessionsView {
  const { dataplane, node, state } = view;
  const names = namesOf(state);
  const first = params.worker ?? 0;
  let cursor = BigInt(params.cursor ?? 0);
  const ofFirstPage = first === 0 && cursor === 0n ? tunnelSessions(view) : [];
  const found: SessionsView['sessions'][number][] = [];
  for (let worker = first; worker < dataplane.workers; worker++, cursor = 0n) {
    if (found.length >= mostInAPage) return page(view, found, { worker, cursor: '0' }, ofFirstPage);
    const part = dataplane.native.sessions(node, worker, cursor, mostInAPage - found.length);
    for (const session of part.sessions) {
      found.push({
        sessionId: session.id,
        policyName: names.policy(session.policy),
        haState: capital(session.haState),
        timeoutSeconds: session.timeoutSeconds,
        sessionState: 'Valid',
        tcpState: session.in.protocol === 6 ? session.tcpState : null,
        worker: session.worker,
        in: wingOf(session.in, names.interface(session.in)),
        out: wingOf(session.out, names.interface(session.out)),
      });
    }
    if (part.cursor !== null) return page(view, found, { worker, cursor: String(part.cursor) }, ofFirstPage);
  }
  return page(view, found, null, ofFirstPage);
}

function page(
  { dataplane, node }: NodeView,
  sessions: SessionsView['sessions'],
  next: SessionsView['next'],
  tunnelSessions: SessionsView['tunnelSessions'],
): SessionsView {
  return { tunnelSessions, sessions, totalSessions: dataplane.native.sessionCount(node), next };
}

/** ESP sessions, as the reference shows them: both nodes have the tunnel, and one of them serves it. */
function tunnelSessions({ state, dataplane, node }: NodeView): TunnelSessionView[] {
  const { config } = state;
  if (config === null || config.highAvailability === null) return [];
  const tunnels = [...state.tunnels.values()];
  const indices = tunnels.flatMap(({ inbound }) => inbound.map(({ index }) => index));
  const statuses = new Map(
    dataplane.native.saStatus(node, 'inbound', indices).map((status) => [status.index, status]),
  );
  return tunnels.map(({ tunnel, inbound }) => {
    const own = config.interfaces.find(({ addresses }) =>
      addresses.some(({ address }) => address.equals(tunnel.localAddress)),
    );
    const total = (of: (status: SaStatus) => bigint) =>
      inbound.reduce((sum, { index }) => {
        const status = statuses.get(index);
        return status === undefined ? sum : sum + of(status);
      }, 0n);
    return {
      sessionId: tunnel.id,
      haState: isServedHere(state, tunnel) ? 'Active' : 'Backup',
      in: {
        source: String(tunnel.gateway),
        sourcePort: 0,
        destination: String(tunnel.localAddress),
        destinationPort: 0,
        protocol: 'esp',
        interface: own?.name ?? tunnel.bindInterface,
        packets: total(({ packets }) => packets),
        bytes: total(({ bytes }) => bytes),
        haWingState: 'Active',
      },
    };
  });
}

function wingOf(wing: SessionWing, interfaceName: string): WingView {
  return {
    source: String(new Address(wing.source)),
    sourcePort: wing.sourcePort,
    destination: String(new Address(wing.destination)),
    destinationPort: wing.destinationPort,
    protocol: protocolName(wing.protocol),
    interface: interfaceName,
    packets: wing.packets,
    bytes: wing.bytes,
    haWingState: capital(wing.haState),
  };
}

const capital = (word: string) => word.charAt(0).toUpperCase() + word.slice(1);

/** Names for the numbers that sessions go by. */
function namesOf(state: NodeState): {
  policy(number: number): string;
  interface(wing: SessionWing): string;
} {
  const { policies, routingInstances } = state.numberings;
  const policyNames = new Map(
    (state.config?.policies ?? []).map((policy) => {
      const number = policies.of(policyKey(policy));
      return [number, `${policy.name}/${number}`];
    }),
  );
  const tunnels = new Map([...state.tunnels.values()].map(({ tunnel }) => [tunnel.id, tunnel.bindInterface]));
  const instances = new Map([...routingInstances.names()].map((name) => [routingInstances.of(name), name]));
  const resolve = adjacencies(state.routes);
  return {
    policy: (number) => policyNames.get(number) ?? 'default-policy/0',
    interface: (wing) => {
      const tunnel = tunnels.get(wing.tunnel);
      if (tunnel !== undefined) return tunnel;
      // where its packets come from is where answers to it go
      const instance = instances.get(wing.routingInstance) ?? 'default';
      return resolve(instance, new Address(wing.source))?.interface ?? '.local..0';
    },
  };
}
