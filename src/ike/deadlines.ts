/** Which numbers are due, of many: a binary heap whose old entries are skipped. */
export class Deadlines {
  readonly #heap: { readonly at: number; readonly id: number }[] = [];
  readonly #current = new Map<number, number>();

  /** In place of the one that it had. */
  set(id: number, at: number): void {
    if (this.#current.get(id) === at) return;
    this.#current.set(id, at);
    this.#push({ at, id });
    // what is old outweighs what counts: begin anew
    if (this.#heap.length > 64 && this.#heap.length > 4 * this.#current.size) this.#rebuild();
  }

  delete(id: number): void {
    this.#current.delete(id);
  }

  /** Infinity: none. */
  next(): number {
    this.#skip();
    return this.#heap[0]?.at ?? Infinity;
  }

  /** One that is due by then, which has none from now on. */
  take(nowMs: number): number | undefined {
    this.#skip();
    const first = this.#heap[0];
    if (first === undefined || first.at > nowMs) return undefined;
    this.#pop();
    this.#current.delete(first.id);
    return first.id;
  }

  #skip(): void {
    for (let first = this.#heap[0]; first !== undefined; first = this.#heap[0]) {
      if (this.#current.get(first.id) === first.at) return;
      this.#pop();
    }
  }

  #rebuild(): void {
    this.#heap.length = 0;
    for (const [id, at] of this.#current) this.#push({ at, id });
  }

  #push(entry: { at: number; id: number }): void {
    const heap = this.#heap;
    let i = heap.push(entry) - 1;
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (heap[parent]!.at <= entry.at) break;
      heap[i] = heap[parent]!;
      i = parent;
    }
    heap[i] = entry;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop()!;
    if (heap.length === 0) return;
    let i = 0;
    for (;;) {
      let child = 2 * i + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && heap[child + 1]!.at < heap[child]!.at) child++;
      if (heap[child]!.at >= last.at) break;
      heap[i] = heap[child]!;
      i = child;
    }
    heap[i] = last;
  }
}
