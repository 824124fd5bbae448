/**
 * Key exchange of base stations with gateways, in packets that take the way of IKE's (UDP 500): two round trips, then
 * dead peer detection. What the packets carry is not IKE; keys are drawn, and handed over inside the process.
 *
 *   station ── init ──▶ whichever gateway the router gives it ── init ──▶ station
 *   station ── auth ──▶ gateway: keys are there, its SAs too  ── auth ──▶ station: its SAs too
 *   station ── alive? ─▶ (nothing arrived for a while)        ── alive, or unknown: begin anew ──▶ station
 */
import { Secret } from '../model/secret.js';
import type { TunnelKeys } from '../node/tunnel.js';
import { setU32, u16, u32 } from '../wire/bytes.js';
import { encodeIp, ipProtocol, pseudoHeaderOf } from '../wire/ip.js';
import { encodeUdp, udpHeaderBytes } from '../wire/udp.js';
import type { Draws } from './draws.js';
import { type Station, stationsNode, tunnelName, tunnelOf } from './topology.js';
import type { World } from './world.js';

export interface AgreementOptions {
  /** an unanswered request comes again after so long, then twice as long, at most so long */
  readonly retryMs: number;
  readonly mostRetryMs: number;
  /** nothing arrived for so long, and the peer is asked */
  readonly idleMs: number;
  /** unanswered questions, and it is dead */
  readonly attempts: number;
}

const kinds = ['init', 'init-answer', 'auth', 'auth-answer', 'alive', 'alive-answer', 'unknown'] as const;
type Kind = (typeof kinds)[number];

const magic = 0x50_4b_45_58;
const messageBytes = 16;
const ikePort = 500;
/** AES-256 key and salt */
const keyBytes = 36;
/** RFC 4303 §2.1: 1…255 are reserved */
const leastSpi = 256;

interface Exchange {
  readonly id: number;
  readonly station: Station;
  readonly gateway: string;
  readonly keys: { readonly station: TunnelKeys; readonly gateway: TunnelKeys };
}

interface Peer {
  readonly station: Station;
  phase: 'none' | 'init' | 'auth' | 'alive' | 'asking';
  /** of what is agreed on, or being agreed on */
  id: number;
  attempts: number;
  timer: (() => void) | null;
  /** highest inbound number when last looked at */
  arrived: bigint;
}

export interface Agreed {
  readonly station: number;
  readonly gateway: string;
  readonly atMs: number;
}

export class Agreement {
  readonly #world: World;
  readonly #options: AgreementOptions;
  readonly #draws: Draws;
  readonly #peers: Peer[];
  readonly #exchanges = new Map<number, Exchange>();
  readonly #spis = new Set<number>();
  /** gateways whose IKE does nothing */
  readonly #deaf = new Set<string>();
  #nextId = 1;
  /** every agreement that a station has heard of, in order */
  readonly agreed: Agreed[] = [];

  constructor(world: World, stations: readonly Station[], draws: Draws, options: AgreementOptions) {
    this.#world = world;
    this.#options = options;
    this.#draws = draws;
    this.#peers = stations.map((station) => ({
      station,
      phase: 'none',
      id: 0,
      attempts: 0,
      timer: null,
      arrived: 0n,
    }));
  }

  /** Base stations begin, spread over so long. */
  begin(overMs: number): void {
    for (const peer of this.#peers)
      this.#world.time.after((this.#draws.below(1000) * overMs) / 1000, () => this.#init(peer));
    this.#world.time.every(this.#options.idleMs, () => this.#lookForSilence());
  }

  /** The gateway that a station has keys with, null: none. */
  gatewayOf(station: number): string | null {
    const peer = this.#peers[station]!;
    if (peer.phase !== 'alive' && peer.phase !== 'asking') return null;
    return this.#exchanges.get(peer.id)?.gateway ?? null;
  }

  /** How many stations have keys. */
  get established(): number {
    return this.#peers.filter(({ phase }) => phase === 'alive' || phase === 'asking').length;
  }

  /** A gateway's IKE loses all its SAs, and answers nothing until it is told otherwise. */
  fail(gateway: string): void {
    this.#deaf.add(gateway);
    if (this.#world.life(gateway) === 'dead' || this.#world.life(gateway) === 'off') return;
    // the interchassis link's keys are its configuration's, and stay
    const { tunnels: all, config } = this.#world.state(gateway);
    const tunnels = [...all.keys()].filter(
      (name) => config?.highAvailability?.peer.linkEncryption?.name !== name,
    );
    this.#world.post(gateway, { kind: 'tunnels-removed', tunnels });
  }

  recover(gateway: string): void {
    this.#deaf.delete(gateway);
  }

  /** An IP packet that a node's native path handed up. */
  receive(node: string, packet: Uint8Array): void {
    const isIpv4 = packet[0]! >> 4 === 4;
    const transport = packet.subarray(isIpv4 ? (packet[0]! & 15) * 4 : 40);
    if (transport.length < udpHeaderBytes + messageBytes || u16(transport, 2) !== ikePort) return;
    const message = transport.subarray(udpHeaderBytes);
    const kind = kinds[message[4]!];
    if (u32(message, 0) !== magic || kind === undefined) return;
    const number = u32(message, 8);
    const peer = this.#peers[number];
    if (peer === undefined) return;
    const id = u32(message, 12);
    if (node === stationsNode) this.#answered(peer, kind, id);
    else this.#asked(node, peer, kind, id);
  }

  #asked(gateway: string, { station }: Peer, kind: Kind, id: number): void {
    if (this.#deaf.has(gateway) || !this.#isActive(gateway)) return;
    const answer = (what: Kind) =>
      this.#send(gateway, what, station.number, id, station.virtual.bytes, station.outer.bytes);
    switch (kind) {
      case 'init':
        answer('init-answer');
        break;
      case 'auth': {
        const known = this.#exchanges.get(id);
        if (known === undefined) {
          const keys = this.#make(station);
          this.#exchanges.set(id, { id, station, gateway, keys });
          this.#world.post(gateway, { kind: 'tunnels-keyed', tunnels: [keys.gateway] });
        }
        // one that agreed with another asks again here: the router moved it in between
        answer(known !== undefined && known.gateway !== gateway ? 'unknown' : 'auth-answer');
        break;
      }
      case 'alive':
        answer(this.#has(gateway, id) ? 'alive-answer' : 'unknown');
        break;
      default:
    }
  }

  #answered(peer: Peer, kind: Kind, id: number): void {
    if (id !== peer.id) return;
    if (kind === 'init-answer' && peer.phase === 'init') {
      this.#ask(peer, 'auth');
    } else if (kind === 'auth-answer' && peer.phase === 'auth') {
      this.#established(peer);
    } else if (kind === 'alive-answer' && peer.phase === 'asking') {
      this.#stop(peer);
      peer.phase = 'alive';
    } else if (kind === 'unknown' && peer.phase !== 'init') {
      this.#init(peer);
    }
  }

  #init(peer: Peer): void {
    peer.id = this.#nextId++;
    this.#ask(peer, 'init');
  }

  /** Sends a request, again and again until it is answered; a question, so often. */
  #ask(peer: Peer, phase: 'init' | 'auth' | 'asking'): void {
    this.#stop(peer);
    peer.phase = phase;
    peer.attempts = 0;
    const { retryMs, mostRetryMs, attempts } = this.#options;
    const send = () => {
      if (peer.attempts >= attempts && phase !== 'init') {
        this.#init(peer);
        return;
      }
      const { station } = peer;
      const kind: Kind = phase === 'asking' ? 'alive' : phase;
      this.#send(stationsNode, kind, station.number, peer.id, station.outer.bytes, station.virtual.bytes);
      const wait = phase === 'asking' ? retryMs : Math.min(mostRetryMs, retryMs * 2 ** peer.attempts);
      peer.attempts++;
      peer.timer = this.#world.time.after(wait, send);
    };
    send();
  }

  #established(peer: Peer): void {
    this.#stop(peer);
    peer.phase = 'alive';
    peer.arrived = 0n;
    const { gateway, keys, station } = this.#exchanges.get(peer.id)!;
    this.#world.post(stationsNode, { kind: 'tunnels-keyed', tunnels: [keys.station] });
    this.agreed.push({ station: station.number, gateway, atMs: this.#world.nowMs });
  }

  /** Base stations through whose tunnel nothing came since this was last called ask whether their gateway lives. */
  #lookForSilence(): void {
    const { tunnels } = this.#world.state(stationsNode);
    const alive = this.#peers.flatMap((peer) => {
      const index = tunnels.get(tunnelName(peer.station.number))?.inbound[0]?.index;
      return peer.phase === 'alive' && index !== undefined ? [{ peer, index }] : [];
    });
    if (alive.length === 0) return;
    const status = this.#world.plane.saStatus(
      this.#world.indexOf(stationsNode),
      'inbound',
      alive.map(({ index }) => index),
    );
    alive.forEach(({ peer }, i) => {
      const { sequence } = status[i]!;
      if (sequence === peer.arrived) this.#ask(peer, 'asking');
      peer.arrived = sequence;
    });
  }

  /** A pair's node answers while its group is ACTIVE there. */
  #isActive(gateway: string): boolean {
    const { config, srgs } = this.#world.state(gateway);
    return config?.highAvailability === null || srgs.get(1)?.status === 'ACTIVE';
  }

  #has(gateway: string, id: number): boolean {
    const exchange = this.#exchanges.get(id);
    if (exchange === undefined) return false;
    const tunnel = this.#world.state(gateway).tunnels.get(exchange.keys.gateway.tunnel.name);
    const { spi } = exchange.keys.gateway.inbound[0]!;
    return tunnel?.inbound.some((sa) => sa.spi === spi) === true;
  }

  #stop(peer: Peer): void {
    peer.timer?.();
    peer.timer = null;
  }

  #make(station: Station): Exchange['keys'] {
    const tunnels = tunnelOf(station);
    const up = { spi: this.#spi(), key: new Secret(this.#draws.bytes(keyBytes)) };
    const down = { spi: this.#spi(), key: new Secret(this.#draws.bytes(keyBytes)) };
    return {
      station: { tunnel: tunnels.station, inbound: [down], outbound: up, epoch: 0, nextSequence: 1n },
      gateway: { tunnel: tunnels.gateway, inbound: [up], outbound: down, epoch: 0, nextSequence: 1n },
    };
  }

  #spi(): number {
    for (;;) {
      const spi = this.#draws.next();
      if (spi < leastSpi || this.#spis.has(spi)) continue;
      this.#spis.add(spi);
      return spi;
    }
  }

  #send(
    node: string,
    kind: Kind,
    station: number,
    id: number,
    source: Uint8Array,
    destination: Uint8Array,
  ): void {
    const message = new Uint8Array(messageBytes);
    setU32(message, 0, magic);
    message[4] = kinds.indexOf(kind);
    setU32(message, 8, station);
    setU32(message, 12, id);
    const { udp: protocol } = ipProtocol;
    const pseudo = pseudoHeaderOf({ source, destination }, protocol, udpHeaderBytes + messageBytes);
    const datagram = encodeUdp(ikePort, ikePort, message, pseudo);
    this.#world.originate(node, encodeIp({ source, destination, protocol }, datagram));
  }
}
