/**
 * Agreeing on keys inside the process: a base station asks the gateway that the router's table gives it, and has an
 * answer one round trip later. Every key and SPI is fresh and random; a witness is told which key an SPI stands for
 * before the first packet can carry it.
 */
import { Secret } from '../model/secret.js';
import type { TunnelKeys } from '../node/tunnel.js';
import type { AuditEntry } from '../pipeline/native.js';
import { type Clock, sleep } from './clock.js';
import type { Network } from './network.js';
import { type BaseStation, tunnelOf } from './scale-out.js';

export interface KeyExchangeOptions {
  readonly network: Network;
  readonly clock: Clock;
  /** one way */
  readonly linkDelayMs: number;
  /** the node that the base stations' tunnels are in */
  readonly stations: string;
  /** cryptographically strong */
  readonly randomBytes: (count: number) => Uint8Array;
  /** told before the keys are used, with all there ever were */
  readonly onKeys: (audits: AuditEntry[]) => void;
}

/** AES-256 key and salt */
const keyBytes = 36;
/** RFC 4303 §2.1: 0 is never sent, 1…255 are reserved */
const leastSpi = 256;

export class KeyExchange {
  readonly #options: KeyExchangeOptions;
  readonly #audits: AuditEntry[] = [];
  readonly #spis = new Set<number>();

  constructor(options: KeyExchangeOptions) {
    this.#options = options;
  }

  /**
   * Every base station asks its gateway for keys, all at the same time. Resolves when they have them. A gateway that
   * does not run when the request is there answers nothing; its base stations' numbers are returned.
   */
  async agree(pairs: readonly { station: BaseStation; gateway: string }[]): Promise<number[]> {
    const { network, clock, linkDelayMs, stations, onKeys } = this.#options;
    await sleep(clock, linkDelayMs);
    const unanswered = pairs.filter(({ gateway }) => !network.isRunning(gateway));
    const agreed = pairs
      .filter(({ gateway }) => network.isRunning(gateway))
      .map(({ station, gateway }) => ({ gateway, keys: this.#make(station) }));
    onKeys(this.#audits);
    const byGateway = new Map<string, TunnelKeys[]>();
    for (const { gateway, keys } of agreed) {
      byGateway.set(gateway, [...(byGateway.get(gateway) ?? []), keys.gateway]);
    }
    for (const [gateway, tunnels] of byGateway) network.post(gateway, { kind: 'tunnels-keyed', tunnels });
    await sleep(clock, linkDelayMs);
    network.post(stations, { kind: 'tunnels-keyed', tunnels: agreed.map(({ keys }) => keys.station) });
    for (const { keys } of agreed) {
      for (const { key } of [...keys.station.inbound, ...keys.gateway.inbound]) key.wipe();
    }
    return unanswered.map(({ station }) => station.number);
  }

  #make(station: BaseStation): { station: TunnelKeys; gateway: TunnelKeys } {
    const tunnels = tunnelOf(station);
    const up = { spi: this.#spi(), key: new Secret(this.#options.randomBytes(keyBytes)) };
    const down = { spi: this.#spi(), key: new Secret(this.#options.randomBytes(keyBytes)) };
    this.#audits.push(
      { address: station.virtual.bytes, spi: up.spi, key: this.#audits.length },
      { address: station.outer.bytes, spi: down.spi, key: this.#audits.length + 1 },
    );
    return {
      station: { tunnel: tunnels.station, inbound: [down], outbound: up, epoch: 0, nextSequence: 1n },
      gateway: { tunnel: tunnels.gateway, inbound: [up], outbound: down, epoch: 0, nextSequence: 1n },
    };
  }

  #spi(): number {
    for (;;) {
      const spi = new DataView(Uint8Array.from(this.#options.randomBytes(4)).buffer).getUint32(0);
      if (spi < leastSpi || this.#spis.has(spi)) continue;
      this.#spis.add(spi);
      return spi;
    }
  }
}
