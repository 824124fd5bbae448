/** Checks of every kind against an end that answers as it is told, and by clocks that the test turns. */
import { afterEach, describe, expect, it } from 'vitest';
import { AnswerReader } from '../../dist/control/probe/http.js';
import { HealthMonitor } from '../../dist/control/probe/monitor.js';
import type { ProbeNetwork, StreamListener } from '../../dist/control/probe/network.js';
import { NetworkProber } from '../../dist/control/probe/prober.js';
import { TcpClient, type TcpHost } from '../../dist/control/probe/tcp.js';
import { clientHello, judgeHello } from '../../dist/control/probe/tls-hello.js';
import { Address } from '../../dist/model/address.js';
import type { ActiveProbe, WantedCheck } from '../../dist/node/health.js';
import { type Tcp, tcpFlag } from '../../dist/wire/tcp.js';

const text = (bytes: string) => new TextEncoder().encode(bytes);
const address = new Address(Uint8Array.of(10, 10, 10, 1));
const path = { address, source: null, routingInstance: 'TRUST_VR' };
const http = {
  kind: 'http',
  port: 80,
  method: 'GET',
  url: '/',
  hostName: null,
  statusCodes: [[200, 299]],
  bodyMatch: null,
} as const;

describe('an HTTP answer', () => {
  const judged = (answer: string, change: object = {}, pieces = 1) => {
    const reader = new AnswerReader({ ...http, ...change });
    const bytes = text(answer);
    const size = Math.ceil(bytes.length / pieces);
    for (let at = 0; at < bytes.length; at += size) {
      const verdict = reader.push(bytes.subarray(at, at + size));
      if (verdict !== null) return verdict;
    }
    return reader.end();
  };
  const body = { bodyMatch: 'all is well' };
  it.each([
    ['200', 'HTTP/1.1 200 OK\r\n\r\n', {}, ''],
    ['500', 'HTTP/1.1 500 Oh\r\n\r\n', {}, 'HTTP status 500'],
    [
      '302, which is wanted',
      'HTTP/1.0 302 Go\r\n\r\n',
      {
        statusCodes: [
          [200, 204],
          [302, 302],
        ],
      },
      '',
    ],
    ['an interim one first', 'HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 204 None\r\n\r\n', {}, ''],
    ['a body', 'HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\nhere all is well', body, ''],
    [
      'another body',
      'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnope',
      body,
      'HTTP status 200, the body does not hold "all is well"',
    ],
    [
      'a text over two chunks',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nall is\r\n5\r\n well\r\n0\r\n\r\n',
      body,
      '',
    ],
    ['SSH', 'SSH-2.0-OpenSSH_9.2\r\n', {}, 'not an HTTP answer'],
    ['nothing', '', {}, 'closed without an answer'],
    ['half a header', 'HTTP/1.1 200 OK\r\nServ', {}, 'not an HTTP answer: it ends in its header'],
  ])('%s', (_, answer, change, verdict) => {
    for (const pieces of [1, 3, 1000]) expect(judged(answer, change, pieces)).toBe(verdict);
  });
});

describe('a TLS hello', () => {
  it('is a record with one handshake message, and names the server', () => {
    const hello = clientHello(new Uint8Array(96).fill(7), 'gw.example.net');
    expect([...hello.subarray(0, 3)]).toEqual([22, 3, 1]);
    expect((hello[3]! << 8) | hello[4]!).toBe(hello.length - 5);
    expect(Buffer.from(hello).includes('gw.example.net')).toBe(true);
  });
  it.each([
    [[22, 3, 3, 0, 90, 2], ''],
    [[22, 3], null],
    [[21, 3, 1, 0, 2, 2, 40], 'TLS alert: handshake failure'],
    [[72, 84, 84, 80], 'not a TLS answer'],
  ])('%j', (bytes, verdict) => expect(judgeHello(Uint8Array.from(bytes as number[]))).toBe(verdict));
});

describe('the TCP client', () => {
  function lab() {
    const sent: Parameters<TcpHost['send']>[0][] = [];
    const said: string[] = [];
    let now = 0;
    const listener: StreamListener = {
      onOpen: () => said.push('open'),
      onData: (bytes) => said.push(new TextDecoder().decode(bytes)),
      onEnd: () => said.push('end'),
      onError: (message) => said.push(message),
    };
    const host: TcpHost = {
      nowMs: () => now,
      send: (segment) => sent.push(segment),
      wakeAt: () => {},
      forget: () => said.push('forgotten'),
    };
    const client = new TcpClient(host, listener, 0xfffffffe);
    const receive = (flags: number, sequence: number, payload = '', acknowledgment = 0xffffffff) =>
      client.receive({
        sourcePort: 80,
        destinationPort: 60_000,
        sequence,
        acknowledgment,
        headerLength: 20,
        flags,
        window: 1000,
        options: Uint8Array.of(2, 4, 2, 0),
        payload: text(payload),
      } as Tcp);
    const wait = (ms: number) => {
      now += ms;
      client.tick();
    };
    return { client, sent, said, receive, wait };
  }
  const { syn, ack, rst, fin } = tcpFlag;

  it('opens, sends over the end of the number space, takes what comes in order, and resets', () => {
    const { client, sent, said, receive } = lab();
    receive(syn | ack, 500);
    client.write(text('x'.repeat(700)));
    expect(sent.slice(2).map(({ sequence, payload }) => [sequence, payload.length])).toEqual([
      [0xffffffff, 512],
      [511, 188],
    ]);
    receive(ack, 506, 'world', 699);
    receive(ack, 501, 'hello', 699);
    receive(ack, 501, 'hello wor', 699);
    receive(ack | fin, 510, '', 699);
    expect(said).toEqual(['open', 'hello', ' wor', 'end']);
    client.abort();
    expect(sent.at(-1)).toMatchObject({ flags: rst | ack, sequence: 699, acknowledgment: 511 });
    receive(ack, 511, 'late', 699);
    expect(said.at(-1)).toBe('forgotten');
  });
  it('sends a lost SYN and lost data again, ever later', () => {
    const { client, sent, receive, wait } = lab();
    wait(249);
    expect(sent).toHaveLength(1);
    wait(1);
    expect(sent.map(({ flags }) => flags)).toEqual([syn, syn]);
    receive(syn | ack, 500);
    client.write(text('request'));
    wait(300);
    expect(sent.slice(-2).map(({ sequence }) => sequence)).toEqual([0xffffffff, 0xffffffff]);
  });
  it('is refused by a reset of its own connection only', () => {
    const first = lab();
    first.receive(rst | ack, 0, '', 12);
    expect(first.said).toEqual([]);
    first.receive(rst | ack, 0);
    expect(first.said).toEqual(['forgotten', 'connection refused']);
  });
});

const nowhere: ProbeNetwork = {
  echo: () => () => {},
  datagram: () => () => {},
  connect: () => ({ write: () => {}, abort: () => {} }),
};

describe('the monitor', () => {
  const open: HealthMonitor[] = [];
  afterEach(() => {
    for (const monitor of open.splice(0)) monitor.close();
  });
  const settings = { intervalMs: 100, timeoutMs: 80, jitter: 0, failureRetries: 2, recoveryRetries: 1 };
  const wanted = (probe: ActiveProbe, service = 's'): WantedCheck => ({
    service,
    profile: 'p',
    realService: 'gw1',
    probe,
    settings,
    path,
  });

  function monitorOf(functions: Record<string, () => unknown> = {}, network = nowhere) {
    let now = 0;
    const changes: string[] = [];
    const monitor = new HealthMonitor({
      prober: new NetworkProber(network, new Map(Object.entries(functions))),
      timers: { every: () => () => {}, after: () => () => {} },
      nowMs: () => now,
      random: () => 0,
      onChange: (all) => {
        for (const { service, up, message } of all)
          changes.push(`${service} ${up ? 'up' : `down: ${message}`}`);
      },
    });
    open.push(monitor);
    const run = async (ms: number) => {
      for (const end = now + ms; now < end; ) {
        now += 10;
        monitor.tick();
        await new Promise((resolve) => setImmediate(resolve));
      }
      monitor.tick();
    };
    return { monitor, changes, run };
  }

  it('takes a check that never returns for lost, and one that throws by its message', async () => {
    const { monitor, changes, run } = monitorOf({
      never: () => new Promise(() => {}),
      throws: () => {
        throw new Error('disk is full\nof something');
      },
      fine: () => 'whatever',
    });
    monitor.configure(
      ['never', 'throws', 'fine', 'missing'].map((name) =>
        wanted({ kind: 'function', function: name }, name),
      ),
    );
    await run(400);
    expect(changes.sort()).toEqual([
      'fine up',
      'missing down: no function missing was handed in',
      'never down: no answer within 80 ms',
      'throws down: disk is full',
    ]);
    expect(monitor.viewOf('throws')[0]!.state.message).toBe('disk is full');
  });

  it('asks once what two groups ask alike, tells both, and goes on with checks that stay', async () => {
    let asked = 0;
    const network: ProbeNetwork = {
      ...nowhere,
      echo: (_path, onAnswer) => {
        asked++;
        onAnswer();
        return () => {};
      },
    };
    const { monitor, changes, run } = monitorOf({}, network);
    monitor.configure([wanted({ kind: 'icmp' }, 'a'), wanted({ kind: 'icmp' }, 'b')]);
    expect(monitor.size).toBe(1);
    await run(300);
    expect(changes).toEqual(['a up', 'b up']);
    const before = asked;
    expect(before).toBeGreaterThanOrEqual(2);
    // one that joins hears at once what is known
    monitor.configure([wanted({ kind: 'icmp' }, 'b'), wanted({ kind: 'icmp' }, 'c')]);
    expect(changes).toEqual(['a up', 'b up', 'c up']);
    expect(monitor.viewOf('a')).toEqual([]);
    expect(monitor.viewOf('c')[0]!.state.sent).toBe(before);
  });

  it('runs a command, with the last line that it wrote as the reason, and ends one that hangs', async () => {
    const { monitor, changes, run } = monitorOf();
    const command = (script: string): ActiveProbe => ({ kind: 'command', command: ['sh', '-c', script] });
    const slow = { ...settings, intervalMs: 20_000, timeoutMs: 20_000, failureRetries: 1 };
    const checks = [
      { ...wanted(command('exit 0'), 'fine'), settings: slow },
      { ...wanted(command('echo one; echo "no $PENSTOCK_REAL_SERVICE" >&2; exit 7'), 'bad'), settings: slow },
      { ...wanted({ kind: 'command', command: ['/no/such/program'] }, 'absent'), settings: slow },
    ];
    monitor.configure(checks);
    for (let i = 0; i < 500 && changes.length < 3; i++) {
      await run(10);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    expect(changes.sort()).toEqual([
      expect.stringMatching(/^absent down: cannot run: .*ENOENT/),
      'bad down: exit code 7: no gw1',
      'fine up',
    ]);
  });
});
