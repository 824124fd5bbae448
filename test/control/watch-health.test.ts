import { spawnSync } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { once } from 'node:events';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import { type HealthWatch, type WatchHealthOptions, watchHealth } from '../../dist/control/watch-health.js';
import { LoadBalancer } from '../../dist/lb/load-balancer.js';

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

const quick = { intervalMs: 40, timeoutMs: 40, failureRetries: 2, recoveryRetries: 2 };

function watched(options: Omit<WatchHealthOptions, 'intervalMs'>, members = ['a', 'b']) {
  const balancer = new LoadBalancer({ members: members.map((name) => ({ name })) });
  const watch: HealthWatch = watchHealth(balancer, { ...quick, ...options });
  closers.push(() => watch.stop());
  const whyDown = new Map<string, string>();
  balancer.on('down', (name, why) => whyDown.set(name, why));
  return { balancer, watch, whyDown };
}

async function listening(server: Server, port = 0): Promise<number> {
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  closers.push(() => new Promise((done) => server.close(done)));
  return (server.address() as AddressInfo).port;
}

const down = (balancer: LoadBalancer) => once(balancer, 'down') as Promise<[string, string]>;
const up = (balancer: LoadBalancer) => once(balancer, 'up') as Promise<[string]>;

describe('health checks of an embedded balancer', () => {
  it('by TCP: a member whose port closes is out, and back when it opens again', async () => {
    const well = await listening(createServer((socket) => socket.destroy()));
    const ill = createServer((socket) => socket.destroy());
    ill.listen(0, '127.0.0.1');
    await once(ill, 'listening');
    const { port } = ill.address() as AddressInfo;
    const { balancer, watch } = watched({
      check: { kind: 'tcp' },
      target: (name) => `127.0.0.1:${name === 'a' ? well : port}`,
    });
    await new Promise((done) => ill.close(done));
    expect((await down(balancer))[0]).toBe('b');
    expect(watch.of('b')).toMatchObject({ up: false, message: expect.stringContaining('ECONNREFUSED') });
    expect(balancer.pick('10.0.0.1')).toBe('a');
    await listening(
      createServer((socket) => socket.destroy()),
      port,
    );
    expect(await up(balancer)).toEqual(['b']);
  });

  it('by HTTP: status and body are looked at', async () => {
    const answers = { status: 200, body: 'I am well' };
    const server = createHttpServer((_, response) => {
      response.statusCode = answers.status;
      response.end(answers.body);
    });
    const port = await listening(server);
    const { balancer } = watched(
      { check: { kind: 'http', port, bodyMatch: 'well' }, target: () => '127.0.0.1' },
      ['only'],
    );
    answers.status = 500;
    expect((await down(balancer))[1]).toContain('500');
    answers.status = 204;
    answers.body = 'well';
    answers.status = 200;
    await up(balancer);
    answers.body = 'ill';
    expect((await down(balancer))[0]).toBe('only');
  });

  it('by UDP: payload and answer; silence is a lost probe', async () => {
    const socket = createSocket('udp4');
    let says = 'pong!';
    socket.on('message', (data, from) => {
      if (says !== '' && String(data) === 'ping') socket.send(says, from.port, from.address);
    });
    socket.bind(0, '127.0.0.1');
    await once(socket, 'listening');
    closers.push(() => socket.close());
    const { port } = socket.address();
    const check = { kind: 'udp', port, send: Buffer.from('ping'), expect: Buffer.from('pong') } as const;
    const { balancer, watch } = watched({ check, target: () => '127.0.0.1' }, ['only']);
    while (watch.of('only')?.up !== true) await new Promise((done) => setTimeout(done, 5));
    says = '';
    await down(balancer);
    says = 'pong';
    await up(balancer);
    says = 'nonsense';
    expect((await down(balancer))[1]).toContain('another answer');
  });

  it('by a function: one that throws and one that never returns are failures, each with its reason', async () => {
    const { whyDown, balancer } = watched(
      {
        check: ({ realService }) => {
          if (realService === 'a') throw new Error('out of paper');
          return realService === 'b' ? new Promise(() => {}) : undefined;
        },
        target: () => '127.0.0.1',
      },
      ['a', 'b', 'c'],
    );
    while (whyDown.size < 2) await down(balancer);
    expect(whyDown.get('a')).toContain('out of paper');
    expect(whyDown.get('b')).toMatch(/time|answer/);
    expect(balancer.members.map(({ up: isUp }) => isUp)).toEqual([false, false, true]);
  });

  it('follow the members: new ones are asked, those without a target are not', async () => {
    const port = await listening(createServer((socket) => socket.destroy()));
    const { balancer, watch } = watched({
      check: { kind: 'tcp' },
      target: (name) => (name === 'b' ? undefined : `127.0.0.1:${name === 'new' ? 1 : port}`),
    });
    expect(watch.of('b')).toBeUndefined();
    balancer.update([{ name: 'a' }, { name: 'new' }]);
    expect((await down(balancer))[0]).toBe('new');
    expect(watch.of('new')?.failed).toBeGreaterThanOrEqual(2);
  });

  it.each([
    [{ check: { kind: 'tcp' }, target: () => '127.0.0.1' }, 'a: no port'],
    [{ check: { kind: 'tcp' }, target: () => 'localhost:80' }, 'a: target localhost:80; write an address'],
    [{ check: { kind: 'tcp' }, target: () => '127.0.0.1:70000' }, 'write an address'],
    [{ check: { kind: 'tcp', port: 1 }, target: () => '::1', timeoutMs: 50 }, 'timeoutMs: 50'],
    [{ check: { kind: 'tcp', port: 1 }, target: () => '::1', failureRetries: 0 }, 'failureRetries: 0'],
    [{ check: { kind: 'tcp', port: 1 }, target: () => '::1', jitter: 1 }, 'jitter: 1'],
  ] as [WatchHealthOptions, string][])('refuse %o', (options, words) => {
    expect(() => watched(options)).toThrow(words);
  });

  it('keep no process alive', () => {
    const program = `
      import { LoadBalancer, watchHealth } from 'penstock';
      const lb = new LoadBalancer({ members: [{ name: 'a' }] });
      watchHealth(lb, { check: { kind: 'tcp', port: 1 }, target: () => '127.0.0.1', intervalMs: 10 });
      const alive = setInterval(() => {}, 1000);
      lb.once('down', (name) => { console.log(name, 'is down'); clearInterval(alive); });`;
    const cwd = new URL('../..', import.meta.url).pathname;
    const { status, stdout, stderr } = spawnSync(
      process.execPath,
      ['--input-type=module', '--eval', program],
      { cwd, encoding: 'utf8', timeout: 20_000 },
    );
    expect(stderr).toBe('');
    expect(stdout.trim()).toBe('a is down');
    expect(status).toBe(0);
  });
});
