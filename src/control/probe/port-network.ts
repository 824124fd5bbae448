/**
 * Probes through the node's own ports: packets that the node routes like any other, in the routing instance and from
 * the address that the configuration says, so that a check goes where traffic goes. Answers come back as punts, to
 * local ports (echo identifiers) in a range that the node's tables name.
 *
 * Packets gather until flush(), so that one call of the native core carries many.
 */
import { TimerWheel } from '../../lb/health/wheel.js';
import type { Address } from '../../model/address.js';
import { probePorts } from '../../node/health.js';
import type { Bytes } from '../../wire/bytes.js';
import { verifies } from '../../wire/checksum.js';
import { decodeIcmp, encodeIcmp, icmpType, icmpVerifies, icmpv6Type } from '../../wire/icmp.js';
import { encodeIp, type IpPacket, ipProtocol, pseudoHeaderOf } from '../../wire/ip.js';
import { parseFrame } from '../../wire/packet.js';
import { decodeTcp, encodeTcp, type Tcp } from '../../wire/tcp.js';
import { decodeUdp, encodeUdp } from '../../wire/udp.js';
import type { ProbeNetwork, ProbePath, ProbeStream, StreamListener } from './network.js';
import { TcpClient } from './tcp.js';

export interface PortNetworkOptions {
  readonly nowMs: () => number;
  /** uniform in [0, 1) */
  readonly random: () => number;
  /** IP packets of the node's own, to be routed in this instance; how many were taken. */
  readonly originate: (routingInstance: string, packets: Bytes[]) => number;
}

/** What waits for answers at a local port. */
interface Waiting {
  readonly protocol: number;
  readonly remote: Bytes;
  /** 0: ICMP */
  readonly remotePort: number;
  receive(ip: IpPacket, transport: Bytes): void;
}

const tickMs = 10;
const echoBytes = 16;
const hopLimit = 64;

export class PortNetwork implements ProbeNetwork {
  readonly #options: PortNetworkOptions;
  readonly #waiting = new Map<number, Waiting[]>();
  readonly #outgoing = new Map<string, Bytes[]>();
  readonly #wheel: TimerWheel;
  readonly #clients = new Map<number, TcpClient>();
  #nextClient = 1;
  #nextPort: number;
  #identification: number;
  /** that found no room in the native core */
  unsent = 0;

  constructor(options: PortNetworkOptions) {
    this.#options = options;
    const [low, high] = probePorts;
    this.#nextPort = low + Math.floor(options.random() * (high - low + 1));
    this.#identification = Math.floor(options.random() * 0x10000);
    this.#wheel = new TimerWheel(tickMs, options.nowMs());
  }

  /** A punted frame; false when it is no answer to a probe. */
  receive(frame: Bytes): boolean {
    const parsed = parseFrame(frame);
    if (!parsed.ok || parsed.value.ip === null) return false;
    const { ip, transport, sourcePort, destinationPort } = parsed.value.ip;
    if (transport === null || destinationPort < probePorts[0] || destinationPort > probePorts[1])
      return false;
    const isIcmp = ip.protocol === ipProtocol.icmp || ip.protocol === ipProtocol.icmpv6;
    const remotePort = isIcmp ? 0 : sourcePort;
    const found = this.#waiting
      .get(destinationPort)
      ?.find(
        (each) =>
          each.protocol === ip.protocol && each.remotePort === remotePort && isSame(each.remote, ip.source),
      );
    if (found !== undefined) found.receive(ip, transport);
    return true;
  }

  /** What is due by now: lost segments are sent again. */
  tick(): void {
    for (const id of this.#wheel.advance(this.#options.nowMs())) this.#clients.get(id)?.tick();
  }

  /** Sends what has gathered. */
  flush(): void {
    for (const [routingInstance, packets] of this.#outgoing) {
      const taken = this.#options.originate(routingInstance, packets);
      this.unsent += packets.length - taken;
    }
    this.#outgoing.clear();
  }

  echo(path: ProbePath, onAnswer: () => void): () => void {
    const { address, routingInstance } = path;
    const source = sourceOf(path);
    const isV4 = address.family === 'inet';
    const protocol = isV4 ? ipProtocol.icmp : ipProtocol.icmpv6;
    const body = new Uint8Array(echoBytes).map(() => Math.floor(this.#options.random() * 256));
    const waiting = {
      protocol,
      remote: address.bytes,
      remotePort: 0,
      receive: (ip: IpPacket, message: Bytes) => {
        const icmp = decodeIcmp(message, ip.version);
        if (!icmp.ok || !icmpVerifies(message, ip)) return;
        const isReply = icmp.value.type === (isV4 ? icmpType.echoReply : icmpv6Type.echoReply);
        if (isReply && isSame(icmp.value.body, body)) onAnswer();
      },
    };
    const [identifier, forget] = this.#listen(waiting);
    const packet = { version: isV4 ? 4 : 6, source: source.bytes, destination: address.bytes } as const;
    const type = isV4 ? icmpType.echoRequest : icmpv6Type.echoRequest;
    const own = Uint8Array.of(identifier >> 8, identifier & 0xff, 0, 1);
    this.#sendTransport(routingInstance, packet, protocol, encodeIcmp(packet, type, 0, own, body));
    return forget;
  }

  datagram(path: ProbePath, port: number, payload: Bytes, onAnswer: (payload: Bytes) => void): () => void {
    const { address, routingInstance } = path;
    const packet = { source: sourceOf(path).bytes, destination: address.bytes };
    const waiting = {
      protocol: ipProtocol.udp,
      remote: address.bytes,
      remotePort: port,
      receive: (ip: IpPacket, transport: Bytes) => {
        const udp = decodeUdp(transport);
        if (!udp.ok) return;
        const whole = transport.subarray(0, udp.value.length);
        if (udp.value.checksum !== 0 && !verifies(whole, pseudoHeaderOf(ip, ipProtocol.udp, whole.length)))
          return;
        onAnswer(Uint8Array.from(udp.value.payload));
      },
    };
    const [local, forget] = this.#listen(waiting);
    const pseudo = pseudoHeaderOf(packet, ipProtocol.udp, 8 + payload.length);
    this.#sendTransport(routingInstance, packet, ipProtocol.udp, encodeUdp(local, port, payload, pseudo));
    return forget;
  }

  connect(path: ProbePath, port: number, listener: StreamListener): ProbeStream {
    const { address, routingInstance } = path;
    const packet = { source: sourceOf(path).bytes, destination: address.bytes };
    const id = this.#nextClient++;
    let client: TcpClient | null = null;
    const waiting = {
      protocol: ipProtocol.tcp,
      remote: address.bytes,
      remotePort: port,
      receive: (ip: IpPacket, transport: Bytes) => {
        const tcp = decodeTcp(transport);
        const pseudo = pseudoHeaderOf(ip, ipProtocol.tcp, transport.length);
        if (tcp.ok && verifies(transport, pseudo)) client?.receive(tcp.value);
      },
    };
    const [local, forget] = this.#listen(waiting);
    const initial = Math.floor(this.#options.random() * 0x100000000);
    client = new TcpClient(
      {
        nowMs: this.#options.nowMs,
        send: (segment) => {
          const whole = { ...segment, sourcePort: local, destinationPort: port };
          this.#sendTransport(routingInstance, packet, ipProtocol.tcp, tcpBytes(whole, packet));
        },
        wakeAt: (atMs) => this.#wheel.schedule(id, atMs),
        forget: () => {
          forget();
          this.#clients.delete(id);
        },
      },
      listener,
      initial,
    );
    this.#clients.set(id, client);
    return client;
  }

  /** A local port on which nothing waits for this remote end, and what gives it back. */
  #listen(waiting: Waiting): [number, () => void] {
    const [low, high] = probePorts;
    let port = this.#nextPort;
    const isTaken = (candidate: number) =>
      this.#waiting.get(candidate)?.some((each) => isSame(each.remote, waiting.remote)) === true;
    for (let tries = 0; tries <= high - low && isTaken(port); tries++) port = port === high ? low : port + 1;
    this.#nextPort = port === high ? low : port + 1;
    const list = this.#waiting.get(port);
    if (list === undefined) this.#waiting.set(port, [waiting]);
    else list.push(waiting);
    return [
      port,
      () => {
        const left = (this.#waiting.get(port) ?? []).filter((each) => each !== waiting);
        if (left.length === 0) this.#waiting.delete(port);
        else this.#waiting.set(port, left);
      },
    ];
  }

  #sendTransport(
    routingInstance: string,
    { source, destination }: { source: Bytes; destination: Bytes },
    protocol: number,
    transport: Bytes,
  ): void {
    this.#identification = (this.#identification + 1) & 0xffff;
    const identification = this.#identification;
    const packet = encodeIp({ source, destination, protocol, ttl: hopLimit, identification }, transport);
    const list = this.#outgoing.get(routingInstance);
    if (list === undefined) this.#outgoing.set(routingInstance, [packet]);
    else list.push(packet);
  }
}

function tcpBytes(tcp: Omit<Tcp, 'headerLength'>, packet: { source: Bytes; destination: Bytes }): Bytes {
  const length = 20 + tcp.options.length + tcp.payload.length;
  return encodeTcp(tcp, pseudoHeaderOf(packet, ipProtocol.tcp, length));
}

function sourceOf({ source, address }: ProbePath): Address {
  if (source === null) throw new Error(`no ${address.family} address to probe from; write source-address`);
  return source;
}

function isSame(a: Bytes, b: Bytes): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
