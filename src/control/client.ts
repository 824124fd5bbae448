/** One end of the control socket: asks, and hears what is told unasked. */
import { connect, type Socket } from 'node:net';
import { codeOf } from './errors.js';
import { type Hello, LineReader, type Method, type Response, readResponse, writeLine } from './protocol.js';

export type Told = Extract<Response, { event: string }>;

interface Waiting {
  resolve(result: unknown): void;
  reject(error: Error): void;
}

export class ControlClient {
  readonly #socket: Socket;
  readonly #waiting = new Map<number, Waiting>();
  readonly #reader = new LineReader();
  #next = 1;
  #onTold: (told: Told) => void = () => {};
  #onClose: () => void = () => {};

  private constructor(socket: Socket) {
    this.#socket = socket;
    socket.on('data', (chunk: Buffer) => this.#read(chunk));
    socket.on('error', () => {});
    socket.on('close', () => {
      for (const { reject } of this.#waiting.values()) reject(new Error('the node ended the session'));
      this.#waiting.clear();
      this.#onClose();
    });
  }

  /** Rejects with an Error that says the mend when nobody listens there, or one may not. */
  static open(path: string): Promise<ControlClient> {
    return new Promise((resolve, reject) => {
      const socket = connect(path);
      const refused = (error: Error) => reject(new Error(reasonOf(error, path), { cause: error }));
      socket.once('error', refused);
      socket.once('connect', () => {
        socket.off('error', refused);
        resolve(new ControlClient(socket));
      });
    });
  }

  onTold(listener: (told: Told) => void): void {
    this.#onTold = listener;
  }

  onClose(listener: () => void): void {
    this.#onClose = listener;
  }

  hello(): Promise<Hello> {
    return this.request('hello', {}) as Promise<Hello>;
  }

  /** Rejects with the node's error. */
  request(method: Method, params: object): Promise<unknown> {
    const id = this.#next++;
    return new Promise((resolve, reject) => {
      if (this.#socket.destroyed) {
        reject(new Error('the node ended the session'));
        return;
      }
      this.#waiting.set(id, { resolve, reject });
      this.#socket.write(writeLine({ id, method, params }));
    });
  }

  close(): void {
    this.#socket.end();
    this.#socket.destroySoon();
  }

  #read(chunk: Buffer): void {
    try {
      for (const line of this.#reader.push(chunk)) this.#take(readResponse(line));
    } catch (error) {
      this.#socket.destroy(error as Error);
    }
  }

  #take(message: Response): void {
    if ('event' in message) {
      this.#onTold(message);
      return;
    }
    const waiting = this.#waiting.get(message.id);
    this.#waiting.delete(message.id);
    if ('error' in message) waiting?.reject(new Error(message.error.message));
    else waiting?.resolve(message.result);
  }
}

function reasonOf(error: Error, path: string): string {
  switch (codeOf(error)) {
    case 'ENOENT':
    case 'ECONNREFUSED':
      return `no node listens at ${path}; start one with penstock run FILE, or name its --socket`;
    case 'EACCES':
    case 'EPERM':
      return `${path} belongs to another user; ask as that user`;
    default:
      return `${path}: ${error.message}`;
  }
}
