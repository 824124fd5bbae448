/** The control socket's server: requests are answered in order, each connection by itself. */
import { createServer, type Server, type Socket } from 'node:net';
import type { z } from 'zod';
import type { IkeEvent } from '../ike/draft.js';
import type { GivenFlow } from '../lb/explain.js';
import type { Address } from '../model/address.js';
import type { PrefixOfInstance } from '../node/event.js';
import type { Announcement } from '../routing/ari.js';
import type { BadConfiguration } from './daemon.js';
import type { ApplyReport } from './live-config.js';
import {
  type Hello,
  issueText,
  LineReader,
  type Method,
  parameters,
  prefixesToJson,
  protocolVersion,
  readRequest,
  writeLine,
} from './protocol.js';
import { takeSocket } from './socket.js';

export type ApplyRequest = z.infer<typeof parameters.apply>;
export type ClearIkeRequest = z.infer<(typeof parameters)['ike.clear']>;
export type DrainRequest = z.infer<typeof parameters.drain>;
export type GroupRequest = z.infer<(typeof parameters)['srg.command']>;
export type HaGroupRequest = z.infer<(typeof parameters)['ha-group.tell']>;

export interface CaptureListener {
  tell(blocks: Uint8Array, packets: number, missed: number): void;
  /** more waits to be read than it should */
  isBehind(): boolean;
}

/** What the node does with what is asked. Errors that are thrown are the answer. */
export interface ControlHandler {
  readonly hostName: string;
  show(what: string, params: Readonly<Record<string, unknown>>): object;
  /** where the node sends a flow; interfaceName null: that it comes in by is to be found */
  explain(flow: GivenFlow, interfaceName: string | null): object;
  apply(request: ApplyRequest): ApplyReport | BadConfiguration;
  confirm(): object;
  /** Tells until what it returns is called. */
  capture(filter: string, to: CaptureListener): () => void;
  captureKeys(): object;
  /** Throws where the node does not speak IKE. */
  clearIke(request: ClearIkeRequest): object;
  drain(request: DrainRequest): object;
  commandGroup(request: GroupRequest): object;
  tellHaGroup(request: HaGroupRequest): object;
  exporterOpened(exporter: string, addresses: readonly Address[]): void;
  exporterClosed(exporter: string): void;
  routesAnnounced(exporter: string, routes: readonly Announcement[]): void;
  routesWithdrawn(exporter: string, routes: readonly PrefixOfInstance[]): void;
}

/** More than this unread, and whoever asked is gone or does not mean to read. */
const mostUnread = 256 * 1024 * 1024;

interface Connection {
  readonly socket: Socket;
  /** name of the gateway that exports routes over it, null: none does */
  exporter: string | null;
  /** ends the capture that is told over it */
  stopCapture: (() => void) | null;
  /** hears of what IKE does */
  monitorsIke: boolean;
}

/** A capture waits while more than this is unread. */
const mostCapturedUnread = 8 * 1024 * 1024;

export class ControlServer {
  readonly #handler: ControlHandler;
  readonly #server: Server;
  readonly #connections = new Set<Connection>();

  private constructor(handler: ControlHandler) {
    this.#handler = handler;
    this.#server = createServer((socket) => this.#accept(socket));
  }

  /** Throws StartError when the socket cannot be had. */
  static async listen(path: string, handler: ControlHandler): Promise<ControlServer> {
    const server = new ControlServer(handler);
    await takeSocket(server.#server, path);
    // an error of accepting one connection is not the end of the others
    server.#server.on('error', () => {});
    return server;
  }

  /** Tells a gateway that another took these over. */
  tellSuperseded(exporter: string, routes: readonly PrefixOfInstance[]): void {
    for (const connection of this.#connections) {
      if (connection.exporter === exporter)
        this.#send(connection, { event: 'superseded', routes: prefixesToJson(routes) });
    }
  }

  tellIke(event: IkeEvent): void {
    const time = new Date().toISOString();
    for (const connection of this.#connections)
      if (connection.monitorsIke) this.#send(connection, { event: 'ike', time, ike: event });
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const connection of this.#connections) {
      // the node ends: what its exporters had ends with it
      connection.exporter = null;
      connection.stopCapture?.();
      connection.stopCapture = null;
      connection.socket.destroy();
    }
    await closed;
  }

  #accept(socket: Socket): void {
    const connection: Connection = { socket, exporter: null, stopCapture: null, monitorsIke: false };
    const reader = new LineReader();
    this.#connections.add(connection);
    socket.on('data', (chunk: Buffer) => {
      try {
        for (const line of reader.push(chunk)) this.#answer(connection, line);
      } catch {
        socket.destroy();
      }
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.#connections.delete(connection);
      connection.stopCapture?.();
      connection.stopCapture = null;
      const { exporter } = connection;
      connection.exporter = null;
      if (exporter !== null) this.#handler.exporterClosed(exporter);
    });
  }

  /** One at a time: a node has one tap. */
  #startCapture(connection: Connection, filter: string): void {
    if ([...this.#connections].some(({ stopCapture }) => stopCapture !== null))
      throw new Error('somebody captures already');
    const { socket } = connection;
    connection.stopCapture = this.#handler.capture(filter, {
      tell: (blocks, packets, missed) => {
        const text = Buffer.from(blocks.buffer, blocks.byteOffset, blocks.length).toString('base64');
        this.#send(connection, { event: 'captured', blocks: text, packets, missed });
      },
      isBehind: () => socket.writableLength > mostCapturedUnread,
    });
  }

  #answer(connection: Connection, line: string): void {
    let id = 0;
    try {
      const request = readRequest(line);
      id = request.id;
      if (!Object.hasOwn(parameters, request.method)) throw new Error(`unknown method ${request.method}`);
      const method = request.method as Method;
      this.#send(connection, { id, result: this.#perform(connection, method, request.params ?? {}) });
    } catch (error) {
      this.#send(connection, { id, error: { message: (error as Error).message } });
    }
  }

  #perform(connection: Connection, method: Method, params: unknown): object {
    switch (method) {
      case 'hello': {
        const hello: Hello = {
          protocol: protocolVersion,
          hostName: this.#handler.hostName,
          pid: process.pid,
        };
        return hello;
      }
      case 'show': {
        const { what, ...rest } = read('show', params);
        return this.#handler.show(what, rest);
      }
      case 'explain': {
        const { interface: name, ...flow } = read('explain', params);
        return this.#handler.explain(flow, name);
      }
      case 'apply':
        return this.#handler.apply(read('apply', params));
      case 'apply.confirm':
        read('apply.confirm', params);
        return this.#handler.confirm();
      case 'capture.start': {
        const { filter } = read('capture.start', params);
        this.#startCapture(connection, filter);
        return {};
      }
      case 'capture.keys':
        read('capture.keys', params);
        return this.#handler.captureKeys();
      case 'ike.monitor':
        read('ike.monitor', params);
        connection.monitorsIke = true;
        return {};
      case 'ike.clear':
        return this.#handler.clearIke(read('ike.clear', params));
      case 'drain':
        return this.#handler.drain(read('drain', params));
      case 'srg.command':
        return this.#handler.commandGroup(read('srg.command', params));
      case 'ha-group.tell':
        return this.#handler.tellHaGroup(read('ha-group.tell', params));
      case 'ari.open': {
        const { hostName, addresses } = read('ari.open', params);
        this.#open(connection, hostName, addresses);
        return {};
      }
      case 'ari.announce':
        this.#handler.routesAnnounced(exporterOf(connection), read('ari.announce', params).routes);
        return {};
      case 'ari.withdraw':
        this.#handler.routesWithdrawn(exporterOf(connection), read('ari.withdraw', params).routes);
        return {};
    }
  }

  /**
   * A gateway that comes again before its old session was seen to end takes the place of that. One that says it again
   * has other addresses now.
   */
  #open(connection: Connection, hostName: string, addresses: readonly Address[]): void {
    if (connection.exporter !== null && connection.exporter !== hostName)
      throw new Error(`ari.open: this session is ${connection.exporter}'s already`);
    for (const other of this.#connections) {
      if (other.exporter !== hostName || other === connection) continue;
      other.exporter = null;
      this.#handler.exporterClosed(hostName);
      other.socket.destroy();
    }
    connection.exporter = hostName;
    this.#handler.exporterOpened(hostName, addresses);
  }

  #send({ socket }: Connection, message: object): void {
    if (socket.destroyed) return;
    socket.write(writeLine(message));
    if (socket.writableLength > mostUnread) socket.destroy();
  }
}

function read<M extends Method>(method: M, params: unknown): ReturnType<(typeof parameters)[M]['parse']> {
  const result = parameters[method].safeParse(params);
  if (!result.success) throw new Error(`${method}: ${issueText(result.error)}`);
  return result.data as ReturnType<(typeof parameters)[M]['parse']>;
}

function exporterOf({ exporter }: Connection): string {
  if (exporter === null) throw new Error('ari.open comes first');
  return exporter;
}
