#!/usr/bin/env node
/**
 * strongSwan against penstock, every combination that both have: algorithms, ways to authenticate, who begins, rekeys under
 * traffic, dead peers, deletes, restarts, refusals. Needs root and strongSwan.
 *
 *   node scripts/ike-matrix.mjs [--only TEXT] [--rounds N]     a line for each case; exit 1 when one failed
 */
import { parseArgs } from 'node:util';
import {
  allProposals,
  connection,
  gatewaySecurity,
  IkeLab,
  missing,
  swanctlConf,
  until,
} from './ike-lab.mjs';

const { values } = parseArgs({
  options: { only: { type: 'string' }, rounds: { type: 'string', default: '1' } },
});
const results = [];
const check = (isTrue, what) => {
  if (!isTrue) throw new Error(what);
};

async function record(name, run, lab) {
  if (values.only !== undefined && !name.includes(values.only)) return;
  const began = performance.now();
  try {
    const note = await run();
    results.push(true);
    console.log(`✓ ${name} (${Math.round(performance.now() - began)} ms)${note ? `: ${note}` : ''}`);
  } catch (error) {
    results.push(false);
    console.log(`✗ ${name}: ${error.message}`);
    if (lab?.gateway) console.log(lab.gateway.log().trim().split('\n').slice(-6).join('\n'));
    console.log(lab?.charonLog().trim().split('\n').slice(-8).join('\n'));
  }
}

const isUp = (lab, name) => lab.swanctl('--list-sas', '--ike', name).text.includes('INSTALLED');
const initiate = (lab, name) => lab.swanctl('--initiate', '--child', name);
const ensure = (lab, name) => check(isUp(lab, name) || initiate(lab, name).status === 0, 'not up');
const terminate = (lab, name) => lab.swanctl('--terminate', '--ike', name);
const events = (lab, text) =>
  lab.gateway
    .log()
    .split('\n')
    .filter((line) => line.includes(text)).length;

async function withLab(run) {
  const lab = new IkeLab();
  try {
    lab.up();
    await run(lab);
  } finally {
    await lab.down();
  }
}

async function clients() {
  await withLab(async (lab) => {
    const auths = ['enb-rsa', 'enb-256', 'enb-384', 'enb-521'];
    await lab.startGateway(gatewaySecurity());
    await lab.startPeer(
      swanctlConf(
        ...allProposals.map(([name, , , , proposal]) => connection(name, { proposal })),
        ...auths.map((auth) => connection(auth, { auth })),
        connection('esp128', { esp: 'aes128gcm16' }),
        connection('esp-cbc-256-sha256', { esp: 'aes256-sha256' }),
        connection('esp-cbc-128-sha512', { esp: 'aes128-sha512' }),
        connection('esp-cbc-192', { esp: 'aes192-sha256' }),
        connection('stranger', { id: 'stranger.example.org' }),
        connection('expired', { auth: 'enb-old' }),
        connection('none-in-common', { proposal: 'aes128-sha256-ecp384' }),
      ),
    );
    const tunnel = async (name) => {
      const { status, text } = initiate(lab, name);
      check(status === 0, text);
      const came = await lab.ping();
      check(came === 1, `${came * 100} % of pings`);
      check(terminate(lab, name).status === 0, 'not deleted');
    };
    for (const [name] of allProposals) await record(`client: PSK, ${name}`, () => tunnel(name), lab);
    for (const auth of [...auths, 'esp128', 'esp-cbc-256-sha256', 'esp-cbc-128-sha512'])
      await record(`client: ${auth}`, () => tunnel(auth), lab);
    const refused = async (name, notify, line) => {
      const { text } = initiate(lab, name);
      check(text.includes(notify), text);
      check(await until(() => events(lab, line) === 1, 1000), `the gateway says nothing of "${line}"`);
      terminate(lab, name);
    };
    await record(
      'refused: no ESP proposal in common',
      () => refused('esp-cbc-192', 'NO_PROP', 'for ESP, which the peer does not offer'),
      lab,
    );
    await record(
      'refused: a stranger',
      () => refused('stranger', 'AUTH_FAILED', 'no gateway expects the identity'),
      lab,
    );
    await record(
      'refused: an expired certificate',
      () => refused('expired', 'AUTH_FAILED', 'expired on'),
      lab,
    );
    await record(
      'refused: no proposal in common',
      () => refused('none-in-common', 'NO_PROP', 'none of its proposals is ours'),
      lab,
    );
    await record(
      'client rekeys both under traffic',
      async () => {
        ensure(lab, 'x25519');
        const pinging = lab.ping(600, 0.005);
        for (let i = 0; i < 3; i++) {
          check(lab.swanctl('--rekey', '--child', 'x25519').status === 0, 'CHILD SA not rekeyed');
          check(lab.swanctl('--rekey', '--ike', 'x25519').status === 0, 'IKE SA not rekeyed');
        }
        check((await pinging) === 1, 'pings were lost');
        check(
          await until(() => events(lab, 'new keys') >= 3 && events(lab, 'new IKE SA') >= 3, 1000),
          'rekeys are not there',
        );
      },
      lab,
    );
    await record(
      'gateway deletes (clear)',
      async () => {
        const cleared = lab.penstock('clear', 'ike', 'security-associations');
        check(cleared.status === 0, cleared.stderr);
        check(await until(() => !isUp(lab, 'x25519'), 3000), 'the client keeps it');
      },
      lab,
    );
    await record(
      'client is killed: found dead',
      async () => {
        ensure(lab, 'x25519');
        await lab.stop(lab.peer, 'SIGKILL');
        check(await until(() => events(lab, 'does not answer') > 0, 15_000), 'still believed in');
      },
      lab,
    );
  });
}

async function gatewayRekeys() {
  await withLab(async (lab) => {
    await lab.startGateway(gatewaySecurity({ ikeLife: 12, childLife: 10 }));
    await lab.startPeer(swanctlConf(connection('net', { start: true })));
    await record(
      'gateway rekeys both under traffic',
      async () => {
        check(initiate(lab, 'net').status === 0, 'not up');
        check((await lab.ping(2500, 0.01)) === 1, 'pings were lost');
        check(events(lab, 'new keys') >= 2, 'no CHILD SA was rekeyed');
        check(events(lab, 'new IKE SA') >= 1, 'no IKE SA was rekeyed');
        check(events(lab, 'is down') === 0, 'it went down');
      },
      lab,
    );
    await record(
      'gateway is killed and started again: the client comes back',
      async () => {
        await lab.stop(lab.gateway, 'SIGKILL');
        await lab.startGateway(gatewaySecurity());
        check(await until(async () => (await lab.ping(1)) === 1, 25_000), 'no answer');
      },
      lab,
    );
    await record(
      'client is restarted: takes its own place',
      async () => {
        await lab.stop(lab.peer, 'SIGKILL');
        await lab.startPeer(swanctlConf(connection('net')));
        check(initiate(lab, 'net').status === 0, 'not up');
        check((await lab.ping()) === 1, 'no answer');
      },
      lab,
    );
  });
}

async function initiator() {
  await withLab(async (lab) => {
    await lab.startPeer(swanctlConf(connection('net')));
    const begin = async (proposal) => {
      await lab.startGateway(gatewaySecurity({ initiate: true, proposals: [proposal] }));
      check(await until(() => events(lab, 'vpn keyed') > 0, 8000), 'not up');
      // the peer may set its interface up a moment after it has answered
      check(await until(async () => (await lab.ping()) === 1, 3000), 'no answer');
    };
    for (const proposal of allProposals) {
      await record(
        `gateway begins: ${proposal[0]}`,
        async () => {
          await lab.stop(lab.peer);
          await lab.startPeer(swanctlConf(connection('net', { proposal: proposal[4] })));
          await begin(proposal);
          check(lab.swanctl('--rekey', '--child', 'net').status === 0, 'not rekeyed by the peer');
          check((await lab.ping()) === 1, 'no answer after the rekey');
        },
        lab,
      );
      if (lab.gateway !== null) await lab.stop(lab.gateway);
    }
    await record(
      'the responder is restarted: the gateway begins anew',
      async () => {
        await lab.stop(lab.peer);
        await lab.startPeer(swanctlConf(connection('net')));
        await begin(allProposals[0]);
        await lab.stop(lab.peer, 'SIGKILL');
        await lab.startPeer(swanctlConf(connection('net', { proposal: allProposals[0][4] })));
        check(await until(async () => (await lab.ping(1)) === 1, 25_000), 'no answer');
      },
      lab,
    );
  });
}

const lack = missing();
if (lack !== null) {
  console.error(`ike-matrix: ${lack}`);
  process.exit(5);
}
for (let round = 0; round < Number(values.rounds); round++) {
  for (const part of [clients, gatewayRekeys, initiator]) await part();
}
const failed = results.filter((isGood) => !isGood).length;
console.log(`${results.length - failed} of ${results.length} cases`);
process.exitCode = failed > 0 ? 1 : 0;
