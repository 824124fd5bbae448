/** What probes need of a network. Everything answers by a callback, which may come before the call returns. */
import type { Address } from '../../model/address.js';

/** Where a probe goes. */
export interface ProbePath {
  readonly address: Address;
  /** of the same family; null: whatever the network takes */
  readonly source: Address | null;
  readonly routingInstance: string;
}

/** A connection. Nothing is called any more once abort() was. */
export interface ProbeStream {
  write(bytes: Uint8Array): void;
  abort(): void;
}

export interface StreamListener {
  onOpen(): void;
  onData(bytes: Uint8Array): void;
  /** the other end sends no more */
  onEnd(): void;
  /** it is over */
  onError(message: string): void;
}

export interface ProbeNetwork {
  /** ICMP or ICMPv6 echo. Returns what gives it up. */
  echo(path: ProbePath, onAnswer: () => void): () => void;
  /** A datagram, and every one that comes back. Returns what gives it up. */
  datagram(
    path: ProbePath,
    port: number,
    payload: Uint8Array,
    onAnswer: (payload: Uint8Array) => void,
    onError: (message: string) => void,
  ): () => void;
  connect(path: ProbePath, port: number, listener: StreamListener): ProbeStream;
}
