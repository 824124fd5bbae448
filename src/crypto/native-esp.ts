/** ESP by the native core, for packets that are not in a plane: captures. */

import type { Prefix } from '../model/prefix.js';
import type { InboundSa, OutboundSa, Sa, SaSelector } from '../model/sa.js';
import { ivCounterEnd } from '../model/sa.js';
import { counterNames } from '../pipeline/counters.js';
import {
  type NativeInboundSa,
  type NativeOutboundSa,
  type EspResult as NativeResult,
  native,
  type SelectorEntry,
} from '../pipeline/native.js';
import type { Bytes } from '../wire/bytes.js';
import type { EspPacket, EspResult, OpenDrop, Opener, SealDrop, Sealer } from './esp.js';
import { OracleSealer } from './oracle.js';

/** The core's own limit: what a frame holds. */
const largestMtu = 3200;
/** More than any header, padding and ICV add. */
const mostOverhead = 128;
/** No lifetimes here, so no time either. */
const nowNs = 1n;
const noLifetime = {
  softSeconds: 0,
  hardSeconds: 0,
  softPackets: 0n,
  hardPackets: 0n,
  softKilobytes: 0n,
  hardKilobytes: 0n,
};

const prefixBytes = ({ address, length }: Prefix) => ({ address: address.bytes, length });

function commonOptions(sa: Sa, selector: (selector: SaSelector) => Pick<SelectorEntry, 'local' | 'remote'>) {
  return {
    spi: sa.spi,
    algorithm: sa.algorithm,
    key: sa.key.reveal(),
    ...(sa.authenticationKey === null ? {} : { authenticationKey: sa.authenticationKey.reveal() }),
    extendedSequenceNumber: sa.extendedSequenceNumber,
    selectors: sa.selectors.map((each) => ({
      ...selector(each),
      protocol: 0,
      localPorts: [0, 65535] as [number, number],
      remotePorts: [0, 65535] as [number, number],
    })),
    anchor: 0,
    tunnel: 0,
    lifetime: noLifetime,
  };
}

function resultOf<Drop>(result: NativeResult): EspResult<Drop> {
  return typeof result === 'number' ? { drop: counterNames[result] as Drop } : { packet: result };
}

/** Throws when the native core is not built (pipeline/native.ts). */
export class NativeOpener implements Opener {
  readonly #sa: NativeInboundSa;

  constructor(sa: InboundSa) {
    this.#sa = new (native().InboundSa)({
      ...commonOptions(sa, ({ source, destination }) => ({
        local: prefixBytes(destination),
        remote: prefixBytes(source),
      })),
      replayWindow: sa.antiReplayWindowSize ?? 0,
      highestSequence: sa.highestSequence,
      copyOuterDscp: sa.copyOuterDscp,
    });
  }

  open(packets: readonly EspPacket[]): EspResult<OpenDrop>[] {
    return this.#sa.open([...packets], nowNs).map((result) => resultOf(result));
  }
}

/** Throws when the native core is not built. */
export class NativeSealer implements Sealer {
  readonly #sa: OutboundSa;
  readonly #native: NativeOutboundSa | null;
  /** Does what the core does not: packets larger than a frame, and an SA whose numbers are used up. */
  #oracle: OracleSealer | null = null;

  constructor(sa: OutboundSa) {
    this.#sa = sa;
    const core = native();
    if (sa.nextIv.counter >= ivCounterEnd || sa.nextSequence >= 2n ** 64n) {
      this.#native = null;
      this.#oracle = new OracleSealer(sa);
      return;
    }
    this.#native = new core.OutboundSa({
      ...commonOptions(sa, ({ source, destination }) => ({
        local: prefixBytes(source),
        remote: prefixBytes(destination),
      })),
      source: sa.source.bytes,
      destination: sa.destination.bytes,
      udp: sa.udp,
      nodeId: sa.nextIv.nodeId,
      epoch: sa.nextIv.epoch,
      firstCounter: sa.nextIv.counter,
      nextSequence: sa.nextSequence,
      dfBit: sa.dfBit,
      dscp: sa.outerDscp ?? -1,
      mtu: Math.min(sa.mtu, largestMtu),
    });
  }

  next(): { sequence: bigint; counter: bigint } {
    if (this.#oracle !== null) return this.#oracle.next();
    const { sequence, ivCounter } = this.#native!.status();
    // the core wraps to 0 behind the last of 2^64
    return { sequence: sequence === 0n ? 2n ** 64n : sequence, counter: ivCounter! };
  }

  seal(packets: readonly Bytes[]): EspResult<SealDrop>[] {
    const isLarge = (packet: Bytes) => packet.length + mostOverhead > largestMtu;
    if (this.#oracle === null && this.#sa.mtu > largestMtu && packets.some(isLarge)) {
      const { sequence, counter } = this.next();
      this.#oracle = new OracleSealer({
        ...this.#sa,
        nextSequence: sequence,
        nextIv: { ...this.#sa.nextIv, counter },
      });
    }
    if (this.#oracle !== null) return this.#oracle.seal(packets);
    return this.#native!.seal([...packets], nowNs).map((result) => resultOf(result));
  }
}
