/**
 * A TCP client (RFC 9293) for probes: it opens a connection, sends a request, takes an answer in order and ends with a
 * reset, as health checks do, so that no state is left on either side. No congestion control, no window scaling, no
 * reassembly (what comes out of order comes again): a probe is a few segments.
 */
import type { Bytes } from '../../wire/bytes.js';
import { type Tcp, tcpFlag } from '../../wire/tcp.js';
import type { ProbeStream, StreamListener } from './network.js';

/** RFC 6298 §2.1 says 1 s before the first measurement; a probe has not so long. */
const firstRetransmitMs = 250;
const receiveWindow = 0xffff;
/** RFC 9293 §3.7.1: of a peer that names none; and what a path of 1280 bytes carries, for those that do */
const defaultSegment = 536;
const largestSegment = 1220;

/** a − b of sequence numbers, as a signed number */
const distance = (a: number, b: number): number => (a - b) | 0;
const plus = (a: number, b: number): number => (a + b) >>> 0;

export interface TcpHost {
  nowMs(): number;
  /** without ports, which the host knows */
  send(segment: Omit<Tcp, 'headerLength' | 'sourcePort' | 'destinationPort'>): void;
  /** calls tick() then */
  wakeAt(atMs: number): void;
  /** no segment concerns it any more */
  forget(): void;
}

export class TcpClient implements ProbeStream {
  readonly #host: TcpHost;
  readonly #listener: StreamListener;
  #state: 'opening' | 'open' | 'closed' = 'opening';
  /** first byte not acknowledged, next to be sent, next expected */
  #unacknowledged: number;
  #next: number;
  #expected = 0;
  #segment = defaultSegment;
  #peerWindow = 0;
  #ended = false;
  /** from #unacknowledged on */
  #buffer: Bytes = new Uint8Array(0);
  #retransmitMs = firstRetransmitMs;
  #retransmitAt: number;

  /** initial: the initial sequence number, at random. */
  constructor(host: TcpHost, listener: StreamListener, initial: number) {
    this.#host = host;
    this.#listener = listener;
    this.#unacknowledged = initial >>> 0;
    this.#next = plus(initial, 1);
    this.#sendSyn();
    this.#retransmitAt = this.#planRetransmit();
  }

  write(bytes: Bytes): void {
    if (this.#state === 'closed') return;
    const joined = new Uint8Array(this.#buffer.length + bytes.length);
    joined.set(this.#buffer);
    joined.set(bytes, this.#buffer.length);
    this.#buffer = joined;
    if (this.#state === 'open') this.#sendData(false);
  }

  abort(): void {
    if (this.#state === 'closed') return;
    // one that is half open there ends by the number that follows its SYN, whenever the answer comes
    this.#sendFlags(this.#state === 'open' ? tcpFlag.rst | tcpFlag.ack : tcpFlag.rst, this.#next);
    this.#close();
  }

  /** Sends again what is not acknowledged. */
  tick(): void {
    if (this.#state === 'closed' || this.#host.nowMs() < this.#retransmitAt) return;
    const waits = this.#state === 'opening' || this.#next !== this.#unacknowledged;
    if (!waits) return;
    this.#retransmitMs *= 2;
    if (this.#state === 'opening') this.#sendSyn();
    else this.#sendData(true);
    this.#retransmitAt = this.#planRetransmit();
  }

  receive(segment: Tcp): void {
    if (this.#state === 'closed') return;
    const { flags } = segment;
    if ((flags & tcpFlag.rst) !== 0) {
      // RFC 9293 §3.5.2: one that is not of this connection is let be
      const isOpening = this.#state === 'opening';
      const isOurs = isOpening
        ? (flags & tcpFlag.ack) !== 0 && segment.acknowledgment === this.#next
        : segment.sequence === this.#expected;
      if (isOurs) this.#fail(isOpening ? 'connection refused' : 'connection reset');
    } else if (this.#state === 'opening') {
      this.#opened(segment);
    } else if ((flags & tcpFlag.syn) !== 0) {
      // its answer to our SYN once more: the acknowledgment was lost
      this.#sendFlags(tcpFlag.ack, this.#next);
    } else {
      this.#acknowledged(segment);
      this.#take(segment);
    }
  }

  #opened({ flags, acknowledgment, sequence, window, options }: Tcp): void {
    const synAck = tcpFlag.syn | tcpFlag.ack;
    if ((flags & synAck) !== synAck || acknowledgment !== this.#next) return;
    this.#unacknowledged = acknowledgment;
    this.#expected = plus(sequence, 1);
    this.#peerWindow = window;
    this.#segment = Math.min(segmentSize(options), largestSegment);
    this.#state = 'open';
    this.#retransmitMs = firstRetransmitMs;
    this.#sendFlags(tcpFlag.ack, this.#next);
    this.#listener.onOpen();
    if (!this.#isClosed()) this.#sendData(false);
  }

  #acknowledged({ flags, acknowledgment, window }: Tcp): void {
    if ((flags & tcpFlag.ack) === 0) return;
    this.#peerWindow = window;
    const done = distance(acknowledgment, this.#unacknowledged);
    if (done <= 0 || distance(acknowledgment, this.#next) > 0) return;
    this.#unacknowledged = acknowledgment;
    this.#buffer = this.#buffer.subarray(done);
    this.#retransmitMs = firstRetransmitMs;
    this.#sendData(false);
  }

  #take({ sequence, payload, flags }: Tcp): void {
    const fin = (flags & tcpFlag.fin) !== 0;
    if (payload.length === 0 && !fin) return;
    const known = distance(this.#expected, sequence);
    if (known < 0 || known > payload.length) {
      this.#sendFlags(tcpFlag.ack, this.#next);
      return;
    }
    const fresh = payload.subarray(known);
    const ends = fin && !this.#ended;
    this.#expected = plus(this.#expected, fresh.length + (ends ? 1 : 0));
    this.#ended ||= ends;
    this.#sendFlags(tcpFlag.ack, this.#next);
    if (fresh.length > 0) this.#listener.onData(fresh);
    if (ends && !this.#isClosed()) this.#listener.onEnd();
  }

  #isClosed(): boolean {
    return this.#state === 'closed';
  }

  #sendSyn(): void {
    this.#host.send({
      sequence: this.#unacknowledged,
      acknowledgment: 0,
      flags: tcpFlag.syn,
      window: receiveWindow,
      // RFC 9293 §3.7.1: maximum segment size
      options: Uint8Array.of(2, 4, largestSegment >> 8, largestSegment & 0xff),
      payload: new Uint8Array(0),
    });
  }

  /** What the window has room for; again: from the first byte that is not acknowledged. */
  #sendData(again: boolean): void {
    if (again) this.#next = this.#unacknowledged;
    let sent = false;
    for (;;) {
      const at = distance(this.#next, this.#unacknowledged);
      const room = Math.min(this.#segment, this.#peerWindow - at, this.#buffer.length - at);
      if (room <= 0) break;
      this.#host.send({
        sequence: this.#next,
        acknowledgment: this.#expected,
        flags: tcpFlag.ack | tcpFlag.psh,
        window: receiveWindow,
        options: new Uint8Array(0),
        payload: this.#buffer.subarray(at, at + room),
      });
      this.#next = plus(this.#next, room);
      sent = true;
    }
    if (sent) this.#retransmitAt = this.#planRetransmit();
  }

  #sendFlags(flags: number, sequence: number): void {
    this.#host.send({
      sequence,
      acknowledgment: this.#expected,
      flags,
      window: receiveWindow,
      options: new Uint8Array(0),
      payload: new Uint8Array(0),
    });
  }

  #planRetransmit(): number {
    const at = this.#host.nowMs() + this.#retransmitMs;
    this.#host.wakeAt(at);
    return at;
  }

  #fail(message: string): void {
    this.#close();
    this.#listener.onError(message);
  }

  #close(): void {
    this.#state = 'closed';
    this.#host.forget();
  }
}

/** The maximum segment size option (RFC 9293 §3.7.1). */
function segmentSize(options: Bytes): number {
  for (let at = 0; at < options.length && options[at] !== 0; ) {
    if (options[at] === 1) {
      at++;
      continue;
    }
    const length = options[at + 1] ?? 0;
    if (length < 2) break;
    if (options[at] === 2 && length === 4) {
      const size = ((options[at + 2] ?? 0) << 8) | (options[at + 3] ?? 0);
      return size === 0 ? defaultSegment : size;
    }
    at += length;
  }
  return defaultSegment;
}
