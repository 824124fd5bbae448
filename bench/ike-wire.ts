/**
 * IP packets of IKE between two processes, many in a datagram on the loopback as a worker has bursts of them; peers keep
 * addresses of their own.
 */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';

const linkBytes = 14;
const datagramBytes = 60_000;
/** of a datagram: each is two pieces, and the kernel takes 1,024 */
const datagramPackets = 500;

export class IkeWire {
  readonly #socket: Socket = createSocket({ type: 'udp4', recvBufferSize: 8 << 20, sendBufferSize: 8 << 20 });
  #port = 0;

  /** The port that the other end is to connect() to. */
  async open(onFrame: (frame: Uint8Array) => void): Promise<number> {
    this.#socket.on('message', (burst) => {
      for (let at = 0; at < burst.length; ) {
        const length = burst.readUInt16BE(at);
        // what a worker punts has a link header
        const frame = new Uint8Array(linkBytes + length);
        frame[12] = 0x08;
        frame.set(burst.subarray(at + 2, at + 2 + length), linkBytes);
        onFrame(frame);
        at += 2 + length;
      }
    });
    this.#socket.bind(0, '127.0.0.1');
    await once(this.#socket, 'listening');
    return this.#socket.address().port;
  }

  connect(port: number): void {
    this.#port = port;
  }

  send(packets: readonly Uint8Array[]): number {
    let burst: Uint8Array[] = [];
    let bytes = 0;
    const send = () => {
      if (burst.length > 0) this.#socket.send(burst, this.#port, '127.0.0.1');
      burst = [];
      bytes = 0;
    };
    for (const packet of packets) {
      if (bytes + 2 + packet.length > datagramBytes || burst.length === 2 * datagramPackets) send();
      burst.push(Uint8Array.of(packet.length >> 8, packet.length & 255), packet);
      bytes += 2 + packet.length;
    }
    send();
    return packets.length;
  }

  close(): void {
    this.#socket.close();
  }
}

export const addressOf = (index: number) => `10.${100 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}`;
/** what each peer has behind it */
export const insideOf = (index: number) =>
  `172.${16 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}/32`;
export const hub = '192.0.2.2';
export const proposals = {
  proposal: {
    fast: {
      'authentication-method': 'pre-shared-keys',
      'dh-group': 'group31',
      'encryption-algorithm': 'aes-256-gcm',
    },
  },
  policy: { p: { proposals: ['fast'], 'pre-shared-key': { 'ascii-text': 'a key for the bench alone' } } },
} as const;
export const childPolicy = {
  proposal: { gcm: { 'encryption-algorithm': 'aes-256-gcm' } },
  policy: { q: { proposals: ['gcm'] } },
} as const;
