/** Asks a running node over its control socket. */
import { ControlClient } from '../control/client.js';
import type { Method } from '../control/protocol.js';
import { findSocket } from '../control/socket.js';
import { Exit } from './exit-codes.js';

/** The node's answer. Throws Exit with what it, or the socket, says. */
export async function askNode<T>(socket: string | undefined, method: Method, params: object): Promise<T> {
  const client = await openNode(socket);
  try {
    return (await client.request(method, params)) as T;
  } catch (error) {
    throw new Exit('failure', (error as Error).message);
  } finally {
    client.close();
  }
}

/** socket: the only one there is when left out. */
export async function openNode(socket: string | undefined): Promise<ControlClient> {
  try {
    return await ControlClient.open(socket ?? findSocket());
  } catch (error) {
    throw new Exit('failure', (error as Error).message);
  }
}
