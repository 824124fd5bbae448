/** A gateway's session with a router's control socket, over which it announces its ARI routes; kept up. */
import type { AriExportConfig } from '../config/config.js';
import type { Address } from '../model/address.js';
import type { PrefixOfInstance } from '../node/event.js';
import type { Timers } from '../pipeline/timers.js';
import type { Announcement } from '../routing/ari.js';
import { ControlClient } from './client.js';
import { announcementsToJson, prefixesToJson } from './protocol.js';

export interface AriSessionOptions {
  readonly router: AriExportConfig;
  readonly hostName: string;
  /** this node's own: by them the router finds the real services that live by the session */
  readonly addresses: readonly Address[];
  readonly timers: Timers;
  /** The router is there, and knows nothing yet. */
  readonly onOpen: () => void;
  readonly onSuperseded: (routes: readonly PrefixOfInstance[]) => void;
  /** For people: what became of it. */
  readonly log: (line: string) => void;
}

const retryMs = 250;

export class AriSession {
  readonly #options: AriSessionOptions;
  #client: ControlClient | null = null;
  #isOpen = false;
  #closed = false;
  #cancelRetry: () => void = () => {};
  /** said once, not at every attempt */
  #complained = false;
  #addresses: readonly Address[];

  constructor(options: AriSessionOptions) {
    this.#options = options;
    this.#addresses = options.addresses;
    void this.#connect();
  }

  get controlSocket(): string {
    return this.#options.router.controlSocket;
  }

  /** The node's own addresses are these from now on. */
  update(addresses: readonly Address[]): void {
    const isSame = addresses.map(String).join() === this.#addresses.map(String).join();
    this.#addresses = addresses;
    if (!isSame && this.#isOpen) this.#client?.request('ari.open', this.#hello()).catch(() => {});
  }

  #hello(): object {
    return { hostName: this.#options.hostName, addresses: this.#addresses.map(String) };
  }

  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** What cannot be told now is told when the session is open again: its node announces all anew. */
  announce(routes: readonly Announcement[]): void {
    this.#tell('ari.announce', announcementsToJson(routes));
  }

  withdraw(routes: readonly PrefixOfInstance[]): void {
    this.#tell('ari.withdraw', prefixesToJson(routes));
  }

  close(): void {
    this.#closed = true;
    this.#cancelRetry();
    this.#client?.close();
  }

  #tell(method: 'ari.announce' | 'ari.withdraw', routes: readonly object[]): void {
    if (!this.#isOpen || this.#client === null) return;
    this.#client.request(method, { routes }).catch((error: Error) => {
      if (!this.#closed) this.#options.log(`router ${this.#options.router.name}: ${error.message}`);
    });
  }

  async #connect(): Promise<void> {
    const { router, onOpen, onSuperseded, log } = this.#options;
    try {
      const client = await ControlClient.open(router.controlSocket);
      this.#client = client;
      client.onClose(() => this.#lost());
      client.onTold((told) => {
        if (told.event === 'superseded') onSuperseded(told.routes);
      });
      if (this.#closed) {
        client.close();
        return;
      }
      await client.request('ari.open', this.#hello());
      this.#isOpen = true;
      this.#complained = false;
      log(`router ${router.name}: session open, routes are exported`);
      onOpen();
    } catch (error) {
      if (!this.#complained && !this.#closed)
        log(`router ${router.name}: ${(error as Error).message}; trying on`);
      this.#complained = true;
      if (this.#client !== null) this.#client.close();
      else this.#retry();
    }
  }

  #lost(): void {
    if (this.#isOpen && !this.#closed)
      this.#options.log(`router ${this.#options.router.name}: session lost; trying on`);
    this.#isOpen = false;
    this.#client = null;
    this.#retry();
  }

  #retry(): void {
    if (!this.#closed) this.#cancelRetry = this.#options.timers.after(retryMs, () => void this.#connect());
  }
}
