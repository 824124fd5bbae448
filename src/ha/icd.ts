/**
 * When a packet is handled on the node of a pair that it came to, and when it crosses the inter-chassis datapath. The
 * decision is a pure function; what native code looks up is the same function written out for every situation.
 *
 * Rules (observed at the reference pair, or our choice where marked):
 *  1. A packet that belongs to no session and may not begin one is dropped on either node: "First path Pkt not syn".
 *  2. A packet crosses once. One that crossed is handled where it came out, or dropped by name.
 *  3. It crosses while its session is being set up, or an inspection is attached to it, and the other node has it.
 *  4. It crosses when what it is for (a tunnel, or a network whose gateway is a floating address) is served there.
 *  5. It crosses when the way out is gone here, and no longer once that is back.
 *  6. Otherwise it is handled here, whoever set the session up: its wing is Active from now on.
 *  7. ICD down: what rule 3 would send is dropped ("re-route failed"), as is what begins a flow by rule 4; flows that are
 *     established pass here where they can. What has no way out is dropped ("fast path pkt reroute failed").
 *  8. No ICD, or the peer is gone: handled here where it can be.
 *  9. What a group serves that is active on neither node is dropped, unless the backup may process it [choice].
 */

/** none: not configured. alone: there is no peer to ask, so that nothing is asymmetric. */
export type IcdState = 'none' | 'up' | 'down' | 'alone';

/** Who serves what a packet is for. either: no services redundancy group says. */
export type Served = 'either' | 'here' | 'peer' | 'nobody';

export interface Situation {
  /** null: it belongs to none that this node has */
  readonly session: {
    /** HA State: Active here; otherwise Warm, a copy */
    readonly owned: boolean;
    /** HA Wing State of the packet's wing */
    readonly wing: 'active' | 'warm';
    /** TCP, and the handshake is not over */
    readonly settingUp: boolean;
    /** an inspection wants to see both directions */
    readonly inspected: boolean;
  } | null;
  /** without a session: it may begin one. A SYN, or not TCP, or TCP without SYN where no check is made */
  readonly opens: boolean;
  /** it came across the ICD */
  readonly crossed: boolean;
  /** no route, or its port is not open */
  readonly egressGone: boolean;
  readonly served: Served;
  /** what is served by the peer or by nobody may be handled here: process-packet-on-backup, or no tunnel */
  readonly backupServes: boolean;
}

export const icdActions = [
  'here',
  'across',
  'not-syn',
  'reroute-failed',
  'icd-down',
  'srg-backup',
  'crossed-already',
] as const;
export type IcdAction = (typeof icdActions)[number];

export interface Verdict {
  readonly action: IcdAction;
  /** the packet's wing was Warm and is Active from now on; the peer's goes Warm */
  readonly flips: boolean;
  /** the session is Active here from now on */
  readonly owns: boolean;
}

export function decide(situation: Situation, icd: IcdState): Verdict {
  const { session, opens, crossed, egressGone, served, backupServes } = situation;
  if (session === null && !opens) return drop('not-syn');
  const foreign = served === 'peer' || served === 'nobody';
  const possible = !egressGone && (!foreign || backupServes);
  // what crossed was counted, and has flipped its wing, where it came in
  if (crossed) return possible ? { action: 'here', flips: false, owns: false } : drop('crossed-already');

  const flips = session?.wing === 'warm';
  const here: Verdict = { action: 'here', flips, owns: session !== null && !session.owned };
  // an owner that does not serve the destination could not pass it on
  const forOwner =
    session !== null && !session.owned && served !== 'here' && (session.settingUp || session.inspected);
  if (served === 'nobody' && !backupServes) return { ...drop('srg-backup'), flips };
  if (!forOwner && served !== 'peer' && !egressGone) return here;

  switch (icd) {
    case 'up':
      return { action: 'across', flips, owns: false };
    case 'none':
    case 'alone':
      if (possible) return here;
      return { ...drop(egressGone ? 'reroute-failed' : 'srg-backup'), flips };
    case 'down': {
      if (egressGone) return { ...drop('reroute-failed'), flips };
      const established = session !== null && !session.settingUp && !forOwner;
      return established && possible ? here : { ...drop('icd-down'), flips };
    }
  }
}

const drop = (action: IcdAction): Verdict => ({ action, flips: false, owns: false });

/** A node asks its pair only while both know of one another. */
export function icdState(of: {
  readonly configured: boolean;
  /** the ICD's own liveness */
  readonly live: boolean;
  /** anything at all is heard of the peer: over the ICL, or the ICD */
  readonly peerHeard: boolean;
}): IcdState {
  if (!of.configured) return 'none';
  if (of.live) return 'up';
  return of.peerHeard ? 'down' : 'alone';
}

/** Status of a services redundancy group on the two nodes; null: not known. `before`: what it was until now. */
export function servedBy(here: string, peer: string | null, before: Served): Served {
  if (here === 'ACTIVE') return 'here';
  if (peer === 'ACTIVE') return 'peer';
  // both ineligible: the last forwarding is kept
  return before === 'either' ? 'nobody' : before;
}

const servedValues: readonly Served[] = ['either', 'here', 'peer', 'nobody'];
/** Bits of a situation's number, as native/core/node/icd_table.h has them. */
const bit = {
  session: 0,
  notOwned: 1,
  wingWarm: 2,
  /** with a session: it is being set up; without: the packet may begin one */
  settingUp: 3,
  inspected: 4,
  crossed: 5,
  egressGone: 6,
  /** two bits, in the order of servedValues */
  served: 7,
  backupServes: 9,
} as const;
export const situations = 1 << 10;

const is = (number: number, at: number) => ((number >> at) & 1) === 1;

/** The situation that a number stands for; what is impossible in it (an inspection of no session) says nothing. */
export function situationOf(number: number): Situation {
  const there = is(number, bit.session);
  return {
    session: there
      ? {
          owned: !is(number, bit.notOwned),
          wing: is(number, bit.wingWarm) ? 'warm' : 'active',
          settingUp: is(number, bit.settingUp),
          inspected: is(number, bit.inspected),
        }
      : null,
    opens: !there && is(number, bit.settingUp),
    crossed: is(number, bit.crossed),
    egressGone: is(number, bit.egressGone),
    served: servedValues[(number >> bit.served) & 3]!,
    backupServes: is(number, bit.backupServes),
  };
}

const flipsBit = 1 << 3;
const ownsBit = 1 << 4;

/** A byte for each situation: the action's place in icdActions, and whether the wing flips and the session is owned. */
export function decisionTable(icd: IcdState): Uint8Array {
  return Uint8Array.from({ length: situations }, (_, number) => {
    const { action, flips, owns } = decide(situationOf(number), icd);
    return icdActions.indexOf(action) | (flips ? flipsBit : 0) | (owns ? ownsBit : 0);
  });
}
