/** Probes through the host's own sockets: for programs that embed a load balancer and have no ports of ours. */
import { createSocket } from 'node:dgram';
import { connect } from 'node:net';
import { messageOf } from './custom.js';
import type { ProbeNetwork, ProbePath, ProbeStream, StreamListener } from './network.js';

export class HostNetwork implements ProbeNetwork {
  echo(): () => void {
    throw new Error(
      'icmp wants raw packets, which only a node with ports sends; check by tcp, http, udp or a function',
    );
  }

  datagram(
    { address, source }: ProbePath,
    port: number,
    payload: Uint8Array,
    onAnswer: (payload: Uint8Array) => void,
    onError: (message: string) => void,
  ): () => void {
    const socket = createSocket(address.family === 'inet' ? 'udp4' : 'udp6');
    socket.on('message', onAnswer);
    socket.on('error', (error) => onError(messageOf(error)));
    if (source !== null) socket.bind(0, source.toString());
    // connected, so that nobody else's datagrams count and an ICMP error is heard
    socket.connect(port, address.toString(), () => socket.send(payload));
    return () => socket.close();
  }

  connect({ address, source }: ProbePath, port: number, listener: StreamListener): ProbeStream {
    const socket = connect({
      host: address.toString(),
      port,
      ...(source === null ? {} : { localAddress: source.toString() }),
    });
    socket.setNoDelay(true);
    socket.once('connect', () => listener.onOpen());
    socket.on('data', (bytes) => listener.onData(bytes));
    socket.once('end', () => listener.onEnd());
    socket.on('error', (error) => listener.onError(messageOf(error)));
    return {
      write: (bytes) => void socket.write(bytes),
      abort: () => {
        socket.removeAllListeners();
        socket.on('error', () => {});
        socket.resetAndDestroy();
      },
    };
  }
}
