/** Cookies of IKE_SA_INIT (RFC 7296 §2.6): that a peer sends one back shows that it is where it says it is. */
import { tuning } from '../config/limits.js';
import { type Bytes, hmac, isEqual } from './crypto.js';

export class Cookies {
  readonly #random: (count: number) => Bytes;
  /** the one that cookies are made of, and the one before */
  #secrets: readonly Bytes[] = [];
  #untilMs = 0;

  constructor(random: (count: number) => Bytes) {
    this.#random = random;
  }

  make(nowMs: number, nonce: Bytes, address: Bytes, spi: Bytes): Bytes {
    return hmac('sha256', this.#current(nowMs)[0]!, nonce, address, spi);
  }

  isOurs(cookie: Bytes, nowMs: number, nonce: Bytes, address: Bytes, spi: Bytes): boolean {
    return this.#current(nowMs).some((secret) =>
      isEqual(hmac('sha256', secret, nonce, address, spi), cookie),
    );
  }

  #current(nowMs: number): readonly Bytes[] {
    if (nowMs >= this.#untilMs) {
      this.#secrets = [this.#random(32), ...this.#secrets.slice(0, 1)];
      this.#untilMs = nowMs + tuning.ike.cookieSecretMs;
    }
    return this.#secrets;
  }
}
