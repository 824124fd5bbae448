import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { AriSession } from '../../dist/control/ari-session.js';
import { ControlClient } from '../../dist/control/client.js';
import { longestLine } from '../../dist/control/protocol.js';
import { type ControlHandler, ControlServer } from '../../dist/control/server.js';
import { Prefix } from '../../dist/model/prefix.js';
import { timers } from '../pipeline/support.js';
import { address, directory, sleep, until } from './support.js';

let path: string;
let told: string[];
let server: ControlServer | null;
const open: { close(): void }[] = [];

const handler: ControlHandler = {
  hostName: 'tlb1',
  show: (what, params) => {
    if (what === 'nothing') throw new Error('nothing to show called nothing');
    return { what, ...params, big: 2n ** 60n, small: 7n };
  },
  explain: () => ({}),
  apply: () => ({ outcome: 'bad-configuration', problems: [] }),
  confirm: () => ({}),
  capture: () => () => {},
  clearIke: () => ({ cleared: 0 }),
  captureKeys: () => ({}),
  drain: () => ({}),
  commandGroup: () => ({}),
  tellHaGroup: () => ({}),
  exporterOpened: (exporter, addresses) => void told.push(`opened ${exporter} ${addresses.join(' ')}`),
  exporterClosed: (exporter) => void told.push(`closed ${exporter}`),
  routesAnnounced: (exporter, routes) => {
    told.push(`announced ${exporter} ${routes.map(({ prefix, nextHop }) => `${prefix} ${nextHop}`).join()}`);
  },
  routesWithdrawn: (exporter, routes) =>
    void told.push(`withdrawn ${exporter} ${routes.map(({ prefix }) => prefix).join()}`),
};

beforeEach(async () => {
  path = join(directory(), 'tlb1.sock');
  told = [];
  server = await ControlServer.listen(path, handler);
});
afterEach(async () => {
  for (const each of open.splice(0)) each.close();
  await server?.close();
});

const client = async () => {
  const made = await ControlClient.open(path);
  open.push(made);
  return made;
};

/** Speaks as nobody should. */
async function raw(text: string): Promise<string> {
  const socket: Socket = connect(path);
  let answer = '';
  socket.on('data', (chunk) => {
    answer += chunk;
    socket.end();
  });
  socket.on('error', () => {});
  socket.write(text);
  await new Promise<void>((resolve) => void socket.once('close', () => resolve()));
  return answer;
}

describe('the control socket', () => {
  it('says who it is', async () => {
    expect(await (await client()).hello()).toEqual({ protocol: 1, hostName: 'tlb1', pid: process.pid });
  });

  it('answers many requests, each its own', async () => {
    const one = await client();
    const answers = await Promise.all(
      ['a', 'b', 'c'].map((what) => one.request('show', { what, table: what })),
    );
    expect(answers).toEqual(
      ['a', 'b', 'c'].map((what) => ({ what, table: what, big: String(2n ** 60n), small: 7 })),
    );
  });

  it('answers errors as errors, and goes on', async () => {
    const one = await client();
    await expect(one.request('show', { what: 'nothing' })).rejects.toThrow('nothing to show called nothing');
    await expect(one.request('show', {})).rejects.toThrow(/show: what/);
    await expect(one.request('ari.announce', { routes: [] })).rejects.toThrow('ari.open comes first');
    await expect(one.request('format-disk' as never, {})).rejects.toThrow('unknown method format-disk');
    await expect(one.request('constructor' as never, {})).rejects.toThrow('unknown method constructor');
    await expect(one.hello()).resolves.toBeDefined();
  });

  it.each([
    ['no JSON', 'GET / HTTP/1.0\n', 'not a line of JSON'],
    ['no object', '[1]\n', 'error'],
    ['a key too many', '{"id":1,"method":"hello","more":1}\n', 'Unrecognized key'],
    ['a negative id', '{"id":-1,"method":"hello"}\n', 'error'],
    ['two messages in one piece', '{"id":1,"method":"hello"}\n{"id":2,"method":"hello"}\n', '"id":2'],
    ['empty lines', '\n\n{"id":3,"method":"hello"}\n', '"id":3'],
  ])('%s is answered', async (_, text, answer) => {
    expect(await raw(text)).toContain(answer);
  });

  it('ends a session with a line that has no end', async () => {
    expect(await raw('x'.repeat(longestLine + 2))).toBe('');
    await expect((await client()).hello()).resolves.toBeDefined();
  });

  it('says the mend where nobody listens', async () => {
    await expect(ControlClient.open(join(path, '..', 'no.sock'))).rejects.toThrow(
      /no node listens at .*penstock run/,
    );
  });

  it('rejects what waits when the node ends', async () => {
    const one = await client();
    await one.hello();
    const end = server!;
    server = null;
    await end.close();
    await sleep(50);
    await expect(one.hello()).rejects.toThrow('the node ended the session');
  });
});

describe('ARI over the control socket', () => {
  const routes = [{ routingInstance: 'UNTRUST_VR', prefix: '192.0.2.1/32', nextHop: '10.2.1.2' }];

  it('takes announcements and withdrawals, and the end of the session as the end of all', async () => {
    const gateway = await client();
    await gateway.request('ari.open', { hostName: 'gw1', addresses: ['10.1.1.2', '2001:db8::1'] });
    await gateway.request('ari.announce', { routes });
    await gateway.request('ari.withdraw', {
      routes: [{ routingInstance: 'UNTRUST_VR', prefix: '192.0.2.1/32' }],
    });
    gateway.close();
    await until(() => told.length === 4);
    expect(told).toEqual([
      'opened gw1 10.1.1.2 2001:db8::1',
      'announced gw1 192.0.2.1/32 10.2.1.2',
      'withdrawn gw1 192.0.2.1/32',
      'closed gw1',
    ]);
  });

  it.each([
    ['a prefix with host bits', { prefix: '192.0.2.1/24' }, 'is not a prefix'],
    ['a prefix that is none', { prefix: 'default' }, 'is not a prefix'],
    ['a next hop that is none', { nextHop: '10.2.1' }, 'is not an IP address'],
  ])('refuses %s', async (_, wrong, message) => {
    const gateway = await client();
    await gateway.request('ari.open', { hostName: 'gw1', addresses: [] });
    await expect(gateway.request('ari.announce', { routes: [{ ...routes[0], ...wrong }] })).rejects.toThrow(
      message,
    );
    expect(told).toEqual(['opened gw1 ']);
  });

  it('lets a gateway that comes again take the place of its old session', async () => {
    const old = await client();
    await old.request('ari.open', { hostName: 'gw1', addresses: [] });
    await expect(old.request('ari.open', { hostName: 'gw2', addresses: [] })).rejects.toThrow(
      "gw1's already",
    );
    const next = await client();
    await next.request('ari.open', { hostName: 'gw1', addresses: [] });
    await sleep(50);
    expect(told).toEqual(['opened gw1 ', 'closed gw1', 'opened gw1 ']);
    await expect(next.hello()).resolves.toBeDefined();
  });

  it('tells a gateway that another took its routes over, and nobody else', async () => {
    const [one, two] = [await client(), await client()];
    const heard: string[] = [];
    one.onTold((told) => {
      if (told.event === 'superseded') heard.push(`one ${told.routes.map(({ prefix }) => prefix).join()}`);
    });
    two.onTold(() => heard.push('two'));
    await one.request('ari.open', { hostName: 'gw1', addresses: [] });
    await two.request('ari.open', { hostName: 'gw2', addresses: [] });
    server!.tellSuperseded('gw1', [
      { routingInstance: 'UNTRUST_VR', prefix: Prefix.host(address('192.0.2.1')) },
    ]);
    await until(() => heard.length > 0);
    expect(heard).toEqual(['one 192.0.2.1/32']);
  });
});

describe('a session with a router', () => {
  const router = {
    name: 'tlb1',
    routingInstance: 'UNTRUST_VR',
    nextHop: { inet: address('10.2.1.2'), inet6: null },
  };
  const announcement = {
    routingInstance: 'UNTRUST_VR',
    prefix: Prefix.host(address('192.0.2.1')),
    nextHop: address('10.2.1.2'),
  };

  function session(log: string[], onOpen: (session: () => AriSession) => void): AriSession {
    const made: AriSession = new AriSession({
      router: { ...router, controlSocket: path },
      hostName: 'gw1',
      addresses: [address('10.1.1.2')],
      timers,
      onOpen: () => onOpen(() => made),
      onSuperseded: (list) => log.push(`superseded ${list.map(({ prefix }) => prefix).join()}`),
      log: (line) => log.push(line),
    });
    open.push(made);
    return made;
  }

  it('waits for a router that is not there, says so once, and comes back when it was lost', async () => {
    await server!.close();
    server = null;
    const log: string[] = [];
    let opened = 0;
    session(log, (made) => {
      opened++;
      made().announce([announcement]);
    });
    await sleep(700);
    expect(log).toHaveLength(1);
    expect(log[0]).toMatch(/router tlb1: no node listens .*trying on/);
    server = await ControlServer.listen(path, handler);
    await until(() => told.length === 2);
    expect(told).toEqual(['opened gw1 10.1.1.2', 'announced gw1 192.0.2.1/32 10.2.1.2']);
    await server.close();
    server = await ControlServer.listen(path, handler);
    await until(() => opened === 2 && told.length >= 4);
    expect(told.slice(-2)).toEqual(['opened gw1 10.1.1.2', 'announced gw1 192.0.2.1/32 10.2.1.2']);
    expect(log.filter((line) => line.includes('session open'))).toHaveLength(2);
  });

  it('hears what another gateway took over', async () => {
    const log: string[] = [];
    const made = session(log, () => {});
    await until(() => made.isOpen);
    server!.tellSuperseded('gw1', [announcement]);
    await until(() => log.some((line) => line.startsWith('superseded')));
    expect(log.at(-1)).toBe('superseded 192.0.2.1/32');
  });

  it('says nothing more once it is closed', async () => {
    const log: string[] = [];
    const made = session(log, () => {});
    await until(() => made.isOpen);
    made.close();
    await until(() => told.includes('closed gw1'));
    await sleep(400);
    expect(log.filter((line) => !line.includes('session open'))).toEqual([]);
    expect(told).toEqual(['opened gw1 10.1.1.2', 'closed gw1']);
  });
});
