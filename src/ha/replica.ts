/**
 * Classes of synchronised objects that TypeScript holds: what a node has to say of one (Originals), and what it has heard
 * of the peer's (Replicas).
 *
 * On a new connection everything is sent, between the marks begin and end, while changes go on; what the peer had and did
 * not hear of again is gone. A digest of all that was sent so far follows now and then, and holds for that very place of
 * the stream: who finds another asks for the class again (resync).
 */
import type { Bytes } from '../wire/bytes.js';
import type { IclClass, IclObject } from '../wire/icl.js';
import { Digest, hashOf } from './digest.js';
import type { Icl } from './icl.js';

interface Original {
  value: Bytes;
  /** of the value that was sent; null: not sent on this connection */
  sent: Uint32Array | null;
}

export class Originals {
  readonly class: IclClass;
  readonly #icl: Icl;
  readonly #objects = new Map<string, Original>();
  readonly #sent = new Digest();
  /** hashes of objects that went, until the peer is told */
  readonly #gone = new Map<string, Uint32Array>();
  #isBehind = false;
  resyncs = 0;

  constructor(icl: Icl, of: IclClass) {
    this.#icl = icl;
    this.class = of;
  }

  get size(): number {
    return this.#objects.size;
  }

  /** The queue had no room: the class is sent anew once it has. */
  get isBehind(): boolean {
    return this.#isBehind;
  }

  /** Takes the bytes over. token: acknowledged once the peer has this value, unless a newer one was sent instead. */
  put(key: string, value: Bytes, token?: unknown): void {
    const before = this.#objects.get(key);
    before?.value.fill(0);
    const sent = before?.sent ?? this.#gone.get(key) ?? null;
    this.#gone.delete(key);
    const object = { value, sent };
    this.#objects.set(key, object);
    this.#send(key, object, token);
  }

  remove(key: string): void {
    const object = this.#objects.get(key);
    if (object === undefined) return;
    object.value.fill(0);
    this.#objects.delete(key);
    if (object.sent !== null) this.#gone.set(key, object.sent);
    this.#note(
      this.#icl.send(this.class, 'remove', key, () => {
        const hash = this.#gone.get(key);
        if (hash !== undefined) this.#sent.subtract(hash);
        this.#gone.delete(key);
        return new Uint8Array(0);
      }),
    );
  }

  #send(key: string, object: Original, token?: unknown): void {
    const value = () => {
      const hash = hashOf(key, object.value);
      if (object.sent !== null) this.#sent.subtract(object.sent);
      this.#sent.add(hash);
      object.sent = hash;
      return object.value.slice();
    };
    this.#note(this.#icl.send(this.class, 'put', key, value, token));
  }

  #note(wasSent: boolean): void {
    if (!wasSent && this.#icl.isConnected) this.#isBehind = true;
  }

  /** All of it, from the beginning: on a new connection, and when the peer asks for it. */
  sendAll(tokenOf: (key: string) => unknown = () => undefined): void {
    this.#icl.clear(this.class);
    this.#sent.clear();
    this.#gone.clear();
    this.#isBehind = false;
    this.#icl.send(this.class, 'begin', '');
    for (const [key, object] of this.#objects) {
      object.sent = null;
      this.#send(key, object, tokenOf(key));
    }
    this.#note(this.#icl.send(this.class, 'end', ''));
    this.sendDigest();
  }

  sendDigest(): void {
    this.#icl.send(this.class, 'digest', '', () => this.#sent.bytes());
  }

  /** To be called now and then. */
  catchUp(): void {
    if (!this.#isBehind || this.#icl.queued(this.class) > 0) return;
    this.resyncs++;
    this.sendAll();
  }
}

export interface ReplicaUser {
  /** Value: not valid afterwards. False: not now. */
  put(key: string, value: Bytes): boolean;
  remove(key: string): void;
}

interface Replica {
  readonly hash: Uint32Array;
  round: number;
}

export class Replicas {
  readonly class: IclClass;
  readonly #icl: Icl;
  readonly #user: ReplicaUser;
  readonly #objects = new Map<string, Replica>();
  readonly #digest = new Digest();
  #round = 0;
  mismatches = 0;

  constructor(icl: Icl, of: IclClass, user: ReplicaUser) {
    this.#icl = icl;
    this.class = of;
    this.#user = user;
  }

  get size(): number {
    return this.#objects.size;
  }

  deliver({ operation, key, value }: IclObject): boolean {
    switch (operation) {
      case 'put': {
        if (!this.#user.put(key, value)) return false;
        const before = this.#objects.get(key);
        if (before !== undefined) this.#digest.subtract(before.hash);
        const hash = hashOf(key, value);
        this.#digest.add(hash);
        this.#objects.set(key, { hash, round: this.#round });
        return true;
      }
      case 'remove':
        this.#remove(key);
        return true;
      case 'begin':
        this.#round++;
        return true;
      case 'end':
        for (const [key, { round }] of this.#objects) if (round !== this.#round) this.#remove(key);
        return true;
      case 'digest':
        if (Buffer.compare(this.#digest.bytes(), value) !== 0) {
          this.mismatches++;
          this.#icl.send(this.class, 'resync', '');
        }
        return true;
      default:
        return true;
    }
  }

  #remove(key: string): void {
    const object = this.#objects.get(key);
    if (object === undefined) return;
    this.#digest.subtract(object.hash);
    this.#objects.delete(key);
    this.#user.remove(key);
  }
}
