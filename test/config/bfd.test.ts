import { describe, expect, it } from 'vitest';
import { diff } from '../../dist/config/diff.js';
import { checkConfig } from '../../dist/config/load.js';

const surroundings = {
  readFile: () => 'of a file\n',
  variable: (name: string) => (name === 'RING' ? 'of the environment' : undefined),
};

const text = (detection: string, chain = 'key: { 7: { secret: { ascii: a key of ours } } }') => `
system: { host-name: r }
interfaces:
  ge-0/0/0: { port: { memory: a }, unit: { 0: { family: { inet: { address: 10.0.0.1/24 } } } } }
  st0: { unit: { 1: {} } }
routing-options: { static: { route: { 10.1.0.0/16: { next-hop: 10.0.0.2, bfd-liveness-detection: ${detection} } } } }
security: { authentication-key-chains: { key-chain: { ring: { ${chain} } } } }
`;
const check = (of: string) => {
  const { config, problems } = checkConfig(of, 'r.yaml', surroundings);
  return { config, problems: problems.map(({ path, message }) => `${path}: ${message}`) };
};
const at = 'routing-options.static.route[10.1.0.0/16].bfd-liveness-detection';
const authentication = 'authentication: { algorithm: keyed-sha-1, key-chain: ring }';

describe('bfd-liveness-detection', () => {
  it.each([
    [
      '{ minimum-interval: 50 }',
      {
        minimumTransmitMs: 50,
        minimumReceiveMs: 50,
        multiplier: 3,
        multihop: false,
        minimumTtl: 255,
        auth: null,
      },
    ],
    [
      '{ minimum-receive-interval: 80, transmit-interval: { minimum-interval: 10 }, multiplier: 5 }',
      { minimumTransmitMs: 10, minimumReceiveMs: 80, multiplier: 5 },
    ],
    [
      '{ minimum-interval: 50, neighbor: 192.0.2.1, local-address: 10.0.0.1 }',
      { multihop: true, minimumTtl: 1 },
    ],
    [`{ minimum-interval: 50, ${authentication} }`, { auth: { isMeticulous: false, keyId: 7 } }],
  ])('reads %s', (detection, wanted) => {
    const { config, problems } = check(text(detection));
    expect(problems).toEqual([]);
    expect(config!.routingInstances[0]!.staticRoutes[0]!.bfd[0]!.peer).toMatchObject(wanted);
  });

  it.each([
    ['ascii: a key of ours', 'a key of ours'],
    ['file: ring.txt', 'of a file'],
    ['env: RING', 'of the environment'],
  ])('takes the key of { %s }', (secret, key) => {
    const { config } = check(
      text(`{ minimum-interval: 50, ${authentication} }`, `key: { 0: { secret: { ${secret} } } }`),
    );
    const { auth } = config!.routingInstances[0]!.staticRoutes[0]!.bfd[0]!.peer;
    expect(Buffer.from(auth!.key.reveal()).toString()).toBe(key);
  });

  it.each([
    ['{ multiplier: 3 }', `${at}: does not say how often to send; write minimum-interval`],
    ['{ minimum-interval: 9 }', `${at}.minimum-interval: 9 is not a whole number from 10 to 255000 ms`],
    ['{ minimum-interval: 50, multiplier: 0 }', `${at}.multiplier: 0 is not a whole number from 1 to 255`],
    [
      '{ minimum-interval: 50, minimum-receive-ttl: 250 }',
      `${at}.minimum-receive-ttl: a single-hop session wants 255 (RFC 5881); write local-address, too, or leave it out`,
    ],
    [
      '{ minimum-interval: 50, neighbor: 192.0.2.1 }',
      `${at}: 192.0.2.1 is on no link of routing instance default; write local-address for a multihop session`,
    ],
    [
      '{ minimum-interval: 50, local-address: 10.0.0.9 }',
      `${at}.local-address: 10.0.0.9 is no address of this node in routing instance default`,
    ],
    [
      '{ minimum-interval: 50, authentication: { algorithm: keyed-md5, key-chain: ring } }',
      `${at}.authentication.algorithm: keyed-md5 is not supported yet; write meticulous-keyed-sha-1 or keyed-sha-1`,
    ],
    [
      '{ minimum-interval: 50, authentication: { algorithm: keyed-sha-1, key-chain: rign } }',
      `${at}.authentication.key-chain: no key chain rign; did you mean ring?`,
    ],
  ])('refuses %s', (detection, problem) => {
    expect(check(text(detection)).problems).toEqual([problem]);
  });

  it.each([
    [
      'key: { 1: { secret: { ascii: a } }, 2: { secret: { ascii: b } } }',
      '.key: 2 keys; BFD goes by one: write one',
    ],
    [
      'key: { 1: { secret: { ascii: 012345678901234567890 } } }',
      '.key.1.secret.ascii: 21 bytes; keyed SHA1 wants 1 to 20',
    ],
    [
      'key: { 1: { secret: { ascii: a, env: RING } } }',
      '.key.1.secret: says ascii and env; write one of { ascii: … }, { file: … }, { env: … }',
    ],
    ['key: { 1: { secret: { env: NONE } } }', '.key.1.secret.env: environment variable NONE is not set'],
  ])('refuses the key chain { %s }', (chain, problem) => {
    const { problems } = check(
      text(
        `{ minimum-interval: 50, ${authentication} }`,
        chain.replace('012345678901234567890', "'012345678901234567890'"),
      ),
    );
    expect(problems).toEqual([`security.authentication-key-chains.key-chain.ring${problem}`]);
  });

  it('has nothing to watch on a route that leads to no neighbour', () => {
    const of = (route: string) =>
      check(text('{ minimum-interval: 50 }').replace(/10\.1\.0\.0\/16: .*/, `10.1.0.0/16: ${route} } } }`))
        .problems;
    expect(of('{ discard: , bfd-liveness-detection: { minimum-interval: 50 } }')[0]).toMatch(
      'there is no next hop to watch',
    );
    expect(of('{ next-hop: st0.1, bfd-liveness-detection: { minimum-interval: 50 } }')[0]).toMatch(
      'st0.1 is no neighbour to watch',
    );
  });

  it('is part of what differs between two configurations, its key too', () => {
    const of = (detection: string, chain?: string) => check(text(detection, chain)).config!;
    const plain = of('{ minimum-interval: 50 }');
    const changed = (a: typeof plain, b: typeof plain) => diff(a, b).map(({ section }) => section);
    expect(changed(plain, of('{ minimum-interval: 50 }'))).toEqual([]);
    expect(changed(plain, of('{ minimum-interval: 60 }'))).toEqual(['static-route']);
    const keyed = `{ minimum-interval: 50, ${authentication} }`;
    expect(changed(of(keyed), of(keyed))).toEqual([]);
    expect(changed(of(keyed), of(keyed, 'key: { 7: { secret: { ascii: another } } }'))).toEqual([
      'static-route',
    ]);
  });
});
