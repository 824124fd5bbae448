/** INFORMATIONAL (RFC 7296 §1.4): deletes, signs of life, and what else is told. */
import { tuning } from '../config/limits.js';
import { exchangeType, notifyType, type Payload, protocolId } from '../wire/ike.js';
import { type Draft, findAll, findNotify, noAsking } from './draft.js';
import { answer, request } from './exchange.js';
import { finish, linger } from './finish.js';
import type { Task } from './sa.js';
import { retire } from './tunnel-keys.js';

export function respondInformational(draft: Draft, messageId: number, payloads: readonly Payload[]): void {
  const { sa } = draft;
  const deletes = findAll(payloads, 'delete');
  if (deletes.some(({ protocol }) => protocol === protocolId.ike)) {
    answer(draft, exchangeType.informational, messageId, []);
    // both made another at the same time, and the peer is done with this one first
    const { asking } = sa;
    if (asking?.task.kind === 'rekey-ike' && asking.collision !== null)
      draft.actions.push({ kind: 'move-children', from: sa.id, to: asking.collision.spi });
    linger(draft, 'the peer deleted it', tuning.ike.lingerMs);
    return;
  }
  const answered: number[] = [];
  for (const spi of deletes.flatMap(({ protocol, spis }) => (protocol === protocolId.esp ? spis : []))) {
    const child = sa.children.find(({ outboundSpi, state }) => outboundSpi === spi && state !== 'draining');
    if (child === undefined) continue;
    // RFC 7296 §1.4.1: one that we have asked for already is not named again
    if (child.state !== 'deleting') answered.push(child.inboundSpi);
    retire(draft, child, 'the peer deleted it');
  }
  const own: Payload[] =
    answered.length === 0 ? [] : [{ kind: 'delete', protocol: protocolId.esp, spis: answered }];
  answer(draft, exchangeType.informational, messageId, own);
  const failed = findNotify(payloads, notifyType.authenticationFailed);
  if (failed !== undefined && sa.isInitiator === false)
    draft.refuse('peerRefused', 'the peer does not take our authentication', failed.type);
}

export function sendInformational(draft: Draft, task: Task): boolean {
  const { sa } = draft;
  switch (task.kind) {
    case 'probe':
      sa.asking = { ...noAsking, task };
      request(draft, exchangeType.informational, []);
      return true;
    case 'delete-ike':
      sa.asking = { ...noAsking, task };
      if (sa.state === 'up') sa.state = 'deleting';
      request(draft, exchangeType.informational, [{ kind: 'delete', protocol: protocolId.ike, spis: [] }]);
      return true;
    case 'delete-children': {
      const spis = task.spis.filter((spi) =>
        sa.children.some(
          ({ inboundSpi, state }) => inboundSpi === spi && state !== 'deleting' && state !== 'draining',
        ),
      );
      if (spis.length === 0) return false;
      for (const spi of spis) draft.changeChild(spi, { state: 'deleting' });
      sa.asking = { ...noAsking, task };
      request(draft, exchangeType.informational, [{ kind: 'delete', protocol: protocolId.esp, spis }]);
      return true;
    }
    default:
      return false;
  }
}

export function informationalAnswered(draft: Draft, task: Task): void {
  if (task.kind === 'delete-ike') {
    finish(draft, task.reason);
    return;
  }
  if (task.kind !== 'delete-children') return;
  for (const spi of task.spis) {
    const child = draft.sa.children.find(({ inboundSpi }) => inboundSpi === spi);
    if (child !== undefined) retire(draft, child, 'deleted');
  }
}
