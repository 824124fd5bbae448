import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  decide,
  decisionTable,
  type IcdState,
  icdActions,
  icdState,
  type Situation,
  servedBy,
  situationOf,
  situations,
  type Verdict,
} from '../../dist/ha/icd.js';

const states: IcdState[] = ['none', 'up', 'down', 'alone'];
const all: { situation: Situation; icd: IcdState; verdict: Verdict }[] = states.flatMap((icd) =>
  Array.from({ length: situations }, (_, number) => {
    const situation = situationOf(number);
    return { situation, icd, verdict: decide(situation, icd) };
  }),
);

/** Every situation that the sentence is about obeys it, and it is about some. */
function holds(
  about: (situation: Situation, icd: IcdState) => boolean,
  obeys: (verdict: Verdict, situation: Situation) => boolean,
): void {
  const found = all.filter(({ situation, icd }) => about(situation, icd));
  expect(found.length).toBeGreaterThan(0);
  expect(found.filter(({ situation, verdict }) => !obeys(verdict, situation))).toEqual([]);
}

const isSetUp = ({ session }: Situation) => session?.settingUp === true;
const isCopy = ({ session }: Situation) => session !== null && !session.owned;
const begins = ({ session, opens }: Situation) => session === null && opens;
const known = (situation: Situation) => situation.session !== null || situation.opens;
/** nothing is wrong with handling it here */
const plain = ({ egressGone, served }: Situation) =>
  !egressGone && (served === 'either' || served === 'here');

describe('ICD decisions, as sentences', () => {
  it('a TCP packet without SYN that belongs to no session is dropped by that name', () =>
    holds(
      (situation) => !known(situation),
      ({ action }) => action === 'not-syn',
    ));

  it('a packet crosses once and not again', () =>
    holds(
      ({ crossed }) => crossed,
      ({ action, flips, owns }) => action !== 'across' && !flips && !owns,
    ));

  it('what crossed is handled where it came out, if it can be', () =>
    holds(
      (situation) => situation.crossed && known(situation) && plain(situation),
      ({ action }) => action === 'here',
    ));

  it('nothing crosses an ICD that is not up', () =>
    holds(
      (_, icd) => icd !== 'up',
      ({ action }) => action !== 'across',
    ));

  it('a node that has the session handles its packets, where it can', () =>
    holds(
      (situation) => situation.session?.owned === true && !situation.crossed && plain(situation),
      ({ action }) => action === 'here',
    ));

  it('a set-up packet on the node that does not have the session crosses, and its wing is Active here', () =>
    holds(
      (situation, icd) =>
        icd === 'up' &&
        isSetUp(situation) &&
        isCopy(situation) &&
        !situation.crossed &&
        situation.served === 'either',
      ({ action, flips, owns }, { session }) =>
        action === 'across' && flips === (session!.wing === 'warm') && !owns,
    ));

  it('so does every packet of a session that is inspected on the other node', () =>
    holds(
      ({ session, crossed, served }, icd) =>
        icd === 'up' && session?.inspected === true && !session.owned && !crossed && served === 'either',
      ({ action }) => action === 'across',
    ));

  it('after set-up it does not cross when routing works here: wing and session are Active here', () =>
    holds(
      (situation) =>
        isCopy(situation) &&
        !isSetUp(situation) &&
        !situation.session!.inspected &&
        !situation.crossed &&
        plain(situation),
      ({ action, flips, owns }, { session }) =>
        action === 'here' && owns && flips === (session!.wing === 'warm'),
    ));

  it('it crosses when its way out is gone', () =>
    holds(
      (situation, icd) =>
        icd === 'up' &&
        situation.egressGone &&
        known(situation) &&
        !situation.crossed &&
        situation.served !== 'nobody',
      ({ action }) => action === 'across',
    ));

  it('without an ICD that is up, what has no way out is dropped by name', () =>
    holds(
      (situation, icd) =>
        icd !== 'up' &&
        situation.egressGone &&
        known(situation) &&
        !situation.crossed &&
        situation.served !== 'nobody',
      ({ action }) => action === 'reroute-failed',
    ));

  it('Z-mode: it crosses to what the peer serves', () =>
    holds(
      (situation, icd) =>
        icd === 'up' && situation.served === 'peer' && known(situation) && !situation.crossed,
      ({ action, owns }) => action === 'across' && !owns,
    ));

  it('ICD down: set-up packets of asymmetric flows are dropped by name, and their wing is Active all the same', () =>
    holds(
      (situation, icd) =>
        icd === 'down' &&
        isSetUp(situation) &&
        isCopy(situation) &&
        !situation.crossed &&
        !situation.egressGone &&
        situation.served === 'either',
      ({ action, flips }, { session }) => action === 'icd-down' && flips === (session!.wing === 'warm'),
    ));

  it('ICD down: what begins a flow to what the peer serves is dropped by name', () =>
    holds(
      (situation, icd) =>
        icd === 'down' &&
        begins(situation) &&
        !situation.crossed &&
        !situation.egressGone &&
        situation.served === 'peer',
      ({ action }) => action === 'icd-down',
    ));

  it('ICD down: established flows pass where they can', () =>
    holds(
      (situation, icd) =>
        icd === 'down' &&
        situation.session !== null &&
        !isSetUp(situation) &&
        !(situation.session.inspected && isCopy(situation)) &&
        !situation.crossed &&
        !situation.egressGone &&
        (situation.served !== 'peer' || situation.backupServes) &&
        situation.served !== 'nobody',
      ({ action }) => action === 'here',
    ));

  it('a pair without ICD, and a node without peer, forward locally', () =>
    holds(
      (situation, icd) =>
        (icd === 'none' || icd === 'alone') &&
        known(situation) &&
        !situation.crossed &&
        !situation.egressGone &&
        (situation.served === 'either' || situation.served === 'here' || situation.backupServes),
      ({ action }) => action === 'here',
    ));

  it('process-packet-on-backup (default no): without it and without ICD the backup passes nothing of the group', () =>
    holds(
      (situation, icd) =>
        (icd === 'none' || icd === 'alone') &&
        situation.served === 'peer' &&
        !situation.backupServes &&
        known(situation) &&
        !situation.crossed &&
        !situation.egressGone,
      ({ action }) => action === 'srg-backup',
    ));

  it('what is active on neither node is dropped, unless the backup may process it', () =>
    holds(
      (situation) =>
        situation.served === 'nobody' && !situation.backupServes && known(situation) && !situation.crossed,
      ({ action }) => action === 'srg-backup',
    ));

  it('an owner that does not serve the destination is not asked', () =>
    holds(
      (situation) =>
        isCopy(situation) && situation.served === 'here' && !situation.crossed && !situation.egressGone,
      ({ action, owns }) => action === 'here' && owns,
    ));

  it('a wing flips only if it was Warm, and only what is handled here makes the session Active', () =>
    holds(
      () => true,
      ({ action, flips, owns }, { session }) =>
        (!flips || session?.wing === 'warm') && (!owns || (action === 'here' && session?.owned === false)),
    ));

  it('all that is Active and plain is handled here, so that native code need not ask', () =>
    holds(
      (situation) =>
        situation.session?.owned === true &&
        situation.session.wing === 'active' &&
        !situation.crossed &&
        plain(situation),
      (verdict) => verdict.action === 'here' && !verdict.flips && !verdict.owns,
    ));
});

it('writes the function out, a byte for each situation', () => {
  for (const icd of states) {
    const table = decisionTable(icd);
    expect(table.length).toBe(situations);
    table.forEach((byte, number) => {
      const { action, flips, owns } = decide(situationOf(number), icd);
      expect(icdActions[byte & 7]).toBe(action);
      expect([(byte & 8) !== 0, (byte & 16) !== 0]).toEqual([flips, owns]);
    });
  }
});

it('is what native code is tested with', () => {
  const file = readFileSync(new URL('../vectors/icd-golden.json', import.meta.url), 'utf8');
  const { tables } = JSON.parse(file) as { tables: Record<string, string> };
  for (const icd of states) expect(tables[icd]).toBe(Buffer.from(decisionTable(icd)).toString('hex'));
});

it('asks a peer that is heard, and no other', () => {
  const of = (configured: boolean, live: boolean, peerHeard: boolean) =>
    icdState({ configured, live, peerHeard });
  expect(of(false, false, true)).toBe('none');
  expect(of(true, true, true)).toBe('up');
  expect(of(true, true, false)).toBe('up');
  expect(of(true, false, true)).toBe('down');
  expect(of(true, false, false)).toBe('alone');
});

it('knows who serves a group', () => {
  expect(servedBy('ACTIVE', 'BACKUP', 'peer')).toBe('here');
  expect(servedBy('ACTIVE', 'ACTIVE', 'peer')).toBe('here');
  expect(servedBy('BACKUP', 'ACTIVE', 'here')).toBe('peer');
  expect(servedBy('INELIGIBLE', 'INELIGIBLE', 'here')).toBe('here');
  expect(servedBy('INELIGIBLE', null, 'peer')).toBe('peer');
  expect(servedBy('HOLD', null, 'either')).toBe('nobody');
});
