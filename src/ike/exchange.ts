/** One request at a time each way (RFC 7296 §2.1…§2.3: windows of one). */
import type { Payload } from '../wire/ike.js';
import { type Draft, resendAfterMs } from './draft.js';
import { seal } from './protect.js';

/** Answers the request that came, and keeps the answer for its repetitions. */
export function answer(
  draft: Draft,
  exchange: number,
  messageId: number,
  payloads: readonly Payload[],
): void {
  const packets = seal(draft, exchange, true, messageId, payloads);
  draft.sa.lastAnswer = { messageId, packets };
  draft.sa.receiveId = messageId + 1;
  draft.sa.serving = null;
  draft.send(packets);
}

/** Sends what sa.asking is about. */
export function request(draft: Draft, exchange: number, payloads: readonly Payload[]): void {
  const { sa, env } = draft;
  const messageId = sa.sendId;
  const packets = seal(draft, exchange, false, messageId, payloads);
  sa.sendId = messageId + 1;
  sa.asking = {
    ...sa.asking!,
    stage: 'sent',
    ticket: 0,
    messageId,
    packets,
    tries: 0,
    resendAtMs: env.nowMs + resendAfterMs(0),
  };
  draft.send(packets);
}
