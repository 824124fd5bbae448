/**
 * Traffic between two kernel hosts, for takeover.ts, which runs this in their namespaces:
 *
 *   takeover-traffic serve PORT TUNNELS             echoes UDP and TCP
 *   takeover-traffic send PORT TUNNELS RATE TCP
 *
 * send: UDP packets of SECGW-IMIX sizes from every tunnel's client in turn, RATE a second counting the answers, and TCP
 * connections from the first clients that carry a numbered line each 20 ms. A line on standard input asks for what
 * happened since the last one, which comes back as a line of JSON (TrafficReport).
 */
import { createSocket, type Socket as UdpSocket } from 'node:dgram';
import { connect, createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { imixSizes } from '#penstock/emulator/scale-out.js';

export interface TrafficReport {
  readonly sent: number;
  readonly answered: number;
  /** longest time without any answer */
  readonly gapMs: number;
  readonly tcp: {
    readonly connections: number;
    /** closed, reset, or a line that came back wrong, since the start */
    readonly broken: number;
    /** lines that came back */
    readonly lines: number;
    /** longest time in which a connection had no line back */
    readonly stallMs: number;
  };
}

const headerBytes = 28;
const tickMs = 1;
/** what is behind is sent in one go, up to here: a host that was stopped does not flood */
const mostBehindMs = 20;
const lineEveryMs = 20;

/** The two ends of tunnel n's traffic, as the lab has them. */
export const clientAddress = (n: number) => `192.168.${n >> 8}.${n & 255}`;
export const serverAddress = (n: number) => `172.16.${n >> 8}.${n & 255}`;

function serve(port: number, tunnels: number): void {
  for (let n = 0; n < tunnels; n++) {
    const socket = createSocket('udp4');
    socket.on('message', (message, { port: to, address: host }) => socket.send(message, to, host));
    socket.on('error', () => {});
    socket.bind(port, serverAddress(n));
  }
  createServer((connection) => {
    connection.setNoDelay(true).on('error', () => {});
    connection.pipe(connection);
  }).listen(port, () => console.log('listening'));
}

async function send(port: number, tunnels: number, rate: number, connections: number) {
  const sizes = imixSizes(1).map((length) => Buffer.alloc(length - headerBytes, 0x5a));
  let sent = 0;
  let answered = 0;
  let gapMs = 0;
  let last = performance.now();
  const sockets: UdpSocket[] = [];
  for (let n = 0; n < tunnels; n++) {
    const socket = createSocket({ type: 'udp4', recvBufferSize: 1 << 18 });
    // what is unreachable for a moment is a loss like any other
    socket.on('error', () => {});
    socket.on('message', () => {
      const now = performance.now();
      gapMs = Math.max(gapMs, now - last);
      last = now;
      answered++;
    });
    await new Promise<void>((resolve) => socket.bind(0, clientAddress(n), resolve));
    sockets.push(socket);
  }
  const perMs = rate / 2 / 1000;
  let due = performance.now();
  setInterval(() => {
    const now = performance.now();
    due = Math.max(due, now - mostBehindMs);
    for (; due < now; due += 1 / perMs) {
      const n = sent % tunnels;
      sockets[n]!.send(sizes[sent % sizes.length]!, port, serverAddress(n));
      sent++;
    }
  }, tickMs);

  const tcp = Array.from({ length: Math.min(connections, tunnels) }, (_, n) => new Line(n, port));
  createInterface({ input: process.stdin })
    .on('line', () => {
      const report: TrafficReport = {
        sent,
        answered,
        gapMs: Math.max(gapMs, performance.now() - last),
        tcp: {
          connections: tcp.length,
          broken: tcp.filter(({ broken }) => broken).length,
          lines: tcp.reduce((sum, each) => sum + each.take(), 0),
          stallMs: Math.max(0, ...tcp.map((each) => each.takeStall())),
        },
      };
      console.log(JSON.stringify(report));
      sent = answered = gapMs = 0;
    })
    .on('close', () => process.exit());
  console.log('sending');
}

/** A connection that sends numbers and wants them back in order. */
class Line {
  broken = false;
  #next = 0;
  #expected = 0;
  #lines = 0;
  #stallMs = 0;
  #last = performance.now();

  constructor(n: number, port: number) {
    const socket = connect({ host: serverAddress(n), port, localAddress: clientAddress(n) });
    socket.setNoDelay(true);
    const timer = setInterval(() => socket.write(`${this.#next++}\n`), lineEveryMs);
    socket.on('error', () => {});
    socket.on('close', () => {
      clearInterval(timer);
      this.broken = true;
    });
    createInterface({ input: socket }).on('line', (line) => {
      if (Number(line) !== this.#expected++) this.broken = true;
      const now = performance.now();
      this.#stallMs = Math.max(this.#stallMs, now - this.#last);
      this.#last = now;
      this.#lines++;
    });
  }

  take(): number {
    const lines = this.#lines;
    this.#lines = 0;
    return lines;
  }

  takeStall(): number {
    const stall = Math.max(this.#stallMs, performance.now() - this.#last);
    this.#stallMs = 0;
    return stall;
  }
}

const [mode, ...numbers] = process.argv.slice(2);
const [port, tunnels, rate, tcp] = numbers.map(Number);
if (mode === 'serve') serve(port!, tunnels!);
else if (mode === 'send') void send(port!, tunnels!, rate!, tcp!);
