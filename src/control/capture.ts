/** A capture of what passes the node, as pcapng, for one who asked over the control socket. */
import { tuning } from '../config/limits.js';
import type { EspAlgorithm } from '../model/sa.js';
import type { TunnelState } from '../node/state.js';
import { counters } from '../pipeline/counters.js';
import type { CapturedFrame, NativePlane } from '../pipeline/native.js';
import type { Timers } from '../pipeline/timers.js';
import { captureHeader, capturePacket } from '../wire/pcap.js';
import { compileFilter } from './capture-filter.js';

export interface CaptureOptions {
  readonly plane: NativePlane;
  readonly node: number;
  readonly timers: Timers;
  /** by native index */
  readonly portNames: readonly string[];
  /** ns since 1970 that the core's clock stands at 0 */
  readonly epochNs: bigint;
  /** Takes pcapng blocks; false: it cannot take more just now, and is not asked again before it can. */
  readonly tell: (blocks: Uint8Array, packets: number, missed: number) => void;
  readonly isBehind: () => boolean;
}

const pumpMs = 20;
const framesAtOnce = 2_000;

/** Throws Error when the filter is none. Returns what ends the capture. */
export function startCapture(options: CaptureOptions, filter: string): () => void {
  const { plane, node, timers, portNames, tell, isBehind } = options;
  const program = compileFilter(filter, portNames);
  plane.setCapture(node, { filter: program, ringBytes: tuning.captureRingBytes });
  // an interface for every port, in the order of their numbers
  tell(captureHeader('ethernet', ...portNames.map((name) => name || 'removed')), 0, 0);
  let told = 0;
  const cancel = timers.every(pumpMs, () => {
    while (!isBehind()) {
      const frames = plane.takeCaptured(node, framesAtOnce);
      const missed = plane.captureMissed(node);
      if (frames.length === 0 && missed === told) return;
      told = missed;
      const blocks = frames.map((frame) => packetBlock(frame, options));
      tell(Buffer.concat(blocks), frames.length, missed);
      if (frames.length < framesAtOnce) return;
    }
  });
  return () => {
    cancel();
    plane.setCapture(node, null);
  };
}

function packetBlock(frame: CapturedFrame, { portNames, epochNs }: CaptureOptions): Uint8Array {
  return capturePacket({
    data: frame.data,
    originalLength: frame.originalLength,
    timeNs: frame.timeNs + epochNs,
    comment: commentOf(frame, portNames),
    // a port that came after the header has no interface there
    interface: Math.min(frame.port, Math.max(0, portNames.length - 1)),
    direction: frame.isOut ? 'out' : 'in',
    queue: frame.worker,
    packetId: frame.id,
  });
}

/** Which worker, and what became of it: e.g. `worker 0: dropped, Bad SPI (noSa)` */
export function commentOf(
  { worker, lastWorker, isOut, verdict, detail }: Omit<CapturedFrame, 'data'>,
  portNames: readonly string[],
): string {
  const who = worker === lastWorker ? `worker ${worker}` : `worker ${worker}, then ${lastWorker}`;
  switch (verdict) {
    case 'dropped': {
      const reason = counters[detail];
      return `${who}: dropped, ${reason === undefined ? detail : `${reason.words} (${reason.camelName})`}`;
    }
    case 'sent':
      return isOut ? `${who}: sent` : `${who}: sent by ${portNames[detail] || detail}`;
    case 'punted':
      return `${who}: handed to the control plane`;
    case 'consumed':
      return `${who}: for this node`;
  }
}

/** What Wireshark decrypts ESP with. */
export interface CaptureKey {
  readonly vpn: string;
  readonly direction: 'inbound' | 'outbound';
  readonly source: string;
  readonly destination: string;
  readonly spi: number;
  readonly algorithm: EspAlgorithm;
  /** hexadecimal digits: AES key, with AES-GCM the salt behind it */
  readonly key: string;
  /** hexadecimal digits; null: AES-GCM */
  readonly authenticationKey: string | null;
  readonly extendedSequenceNumber: boolean;
}

/** In hexadecimal digits; the bytes are zero then. */
function taken(key: Uint8Array): string {
  const digits = Buffer.from(key).toString('hex');
  key.fill(0);
  return digits;
}

/** Keys of every SA that there is now. */
export function captureKeys(plane: NativePlane, node: number, tunnels: Iterable<TunnelState>): CaptureKey[] {
  return [...tunnels].flatMap(({ tunnel, inbound, outbound }) => {
    const { name: vpn, gateway, localAddress, extendedSequenceNumber } = tunnel;
    const keysOf = (direction: 'inbound' | 'outbound', sas: readonly { spi: number; index: number }[]) => {
      const indices = sas.map(({ index }) => index);
      const keys = plane.saKeys(node, direction, indices);
      const [source, destination] =
        direction === 'inbound' ? [gateway, localAddress] : [localAddress, gateway];
      return sas.map(({ spi }, i): CaptureKey => {
        const { algorithm, key, authenticationKey } = keys[i]!;
        return {
          vpn,
          direction,
          source: String(source),
          destination: String(destination),
          spi,
          algorithm,
          key: taken(key),
          authenticationKey: authenticationKey === null ? null : taken(authenticationKey),
          extendedSequenceNumber,
        };
      });
    };
    return [...keysOf('inbound', inbound), ...keysOf('outbound', outbound === null ? [] : [outbound])];
  });
}
