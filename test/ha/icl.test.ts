import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Icl, iclDefaults } from '../../dist/ha/icl.js';
import { Originals, Replicas } from '../../dist/ha/replica.js';
import {
  decodeIcl,
  encodeIclAck,
  encodeIclHello,
  iclHeaderBytes,
  readIclObject,
} from '../../dist/wire/icl.js';

type Bytes = Uint8Array;

/** Two nodes with one class each way, on a network of faults drawn from a list of numbers. */
class Pair {
  readonly nodes: Node[] = [];
  readonly #air: { at: number; to: number; bytes: Bytes }[] = [];
  readonly #faults: readonly number[];
  #fault = 0;
  perfect = false;
  now = 0;

  constructor(faults: readonly number[], window = 8) {
    this.#faults = faults;
    for (const id of [0, 1]) this.nodes.push(new Node(id, 100 + id, window));
  }

  restart(id: number): void {
    const before = this.nodes[id]!;
    this.nodes[id] = new Node(id, before.session + 10, before.window);
  }

  #next(): number {
    if (this.perfect || this.#faults.length === 0) return 0;
    return this.#faults[this.#fault++ % this.#faults.length]!;
  }

  run(ms: number): void {
    for (const end = this.now + ms; this.now < end; this.now++) {
      // what is late arrives in any order
      const due = this.#air.filter(({ at }) => at <= this.now);
      for (const packet of due) this.#air.splice(this.#air.indexOf(packet), 1);
      for (const { to, bytes } of due) this.nodes[to]!.icl.receive(bytes, this.now);
      for (const [id, node] of this.nodes.entries()) {
        for (const bytes of node.icl.tick(this.now)) {
          const fault = this.#next();
          // 0: in time; 1…3: lost; 4…6: late, by as many times 10 ms; 7: twice
          if (fault >= 1 && fault <= 3) continue;
          const late = fault >= 4 && fault <= 6 ? (fault - 3) * 10 : 0;
          this.#air.push({ at: this.now + 1 + late, to: 1 - id, bytes });
          if (fault === 7) this.#air.push({ at: this.now + 15, to: 1 - id, bytes: bytes.slice() });
        }
        node.originals.catchUp();
      }
    }
  }

  /** Until all is said; throws when it never is. */
  settle(): void {
    this.perfect = true;
    for (let i = 0; i < 400; i++) {
      this.run(10);
      if (this.nodes.every(({ icl }) => icl.isConnected && icl.isIdle)) return;
    }
    throw new Error('does not settle');
  }
}

class Node {
  readonly icl: Icl;
  readonly originals: Originals;
  readonly replicas: Replicas;
  readonly holds = new Map<string, string>();
  readonly acknowledged: string[] = [];
  refuses = 0;
  connections = 0;
  sameProcess: boolean[] = [];

  constructor(
    readonly id: number,
    readonly session: number,
    readonly window: number,
  ) {
    this.icl = new Icl(
      {
        ...iclDefaults,
        nodeId: id + 1,
        peerNodeId: null,
        session,
        helloMs: 20,
        deadMs: 100,
        window,
        maxBytes: 200,
      },
      {
        connected: ({ isSameProcess }) => {
          this.connections++;
          this.sameProcess.push(isSameProcess);
          this.originals.sendAll();
        },
        lost: () => {},
        hello: () => new Uint8Array([id]),
        heard: () => {},
        deliver: (object) => {
          if (this.refuses > 0) {
            this.refuses--;
            return false;
          }
          if (object.operation === 'resync') {
            this.originals.sendAll();
            return true;
          }
          return this.replicas.deliver(object);
        },
        acknowledged: (token) => this.acknowledged.push(token as string),
      },
    );
    this.originals = new Originals(this.icl, 'sa');
    this.replicas = new Replicas(this.icl, 'sa', {
      put: (key, value) => {
        this.holds.set(key, new TextDecoder().decode(value));
        return true;
      },
      remove: (key) => this.holds.delete(key),
    });
  }

  readonly says = new Map<string, string>();
  put(key: string, value: string): void {
    this.says.set(key, value);
    this.originals.put(key, new TextEncoder().encode(value), `${key}=${value}`);
  }
  remove(key: string): void {
    this.says.delete(key);
    this.originals.remove(key);
  }
}

const action = fc.oneof(
  fc.record({
    kind: fc.constant('put' as const),
    node: fc.nat(1),
    key: fc.nat(12),
    value: fc.nat(999),
    run: fc.nat(12),
  }),
  fc.record({ kind: fc.constant('remove' as const), node: fc.nat(1), key: fc.nat(12), run: fc.nat(12) }),
  fc.record({ kind: fc.constant('refuse' as const), node: fc.nat(1), times: fc.nat(8), run: fc.nat(30) }),
  fc.record({ kind: fc.constant('silence' as const), run: fc.integer({ min: 50, max: 250 }) }),
  fc.record({ kind: fc.constant('restart' as const), node: fc.nat(1), run: fc.nat(40) }),
);

const equalSides = (pair: Pair) => {
  for (const [id, node] of pair.nodes.entries()) {
    expect(Object.fromEntries(pair.nodes[1 - id]!.holds)).toEqual(Object.fromEntries(node.says));
    expect(node.replicas.mismatches).toBe(0);
  }
};

describe('the ICL transport', () => {
  it('both sides end equal, whatever the network does and whoever restarts', () => {
    fc.assert(
      fc.property(
        fc.array(fc.nat(9), { minLength: 7, maxLength: 61 }),
        fc.array(action, { maxLength: 60 }),
        (faults, actions) => {
          const pair = new Pair(faults);
          for (const step of actions) {
            if (step.kind === 'silence') {
              // nothing passes, so the connection is lost in many of these
              const before = pair.nodes.map(({ icl }) => icl.isConnected);
              for (let ms = 0; ms < step.run; ms++) for (const { icl } of pair.nodes) icl.tick(pair.now + ms);
              pair.now += step.run;
              if (step.run >= 130)
                expect(pair.nodes.map(({ icl }) => icl.isConnected)).toEqual(before.map(() => false));
              continue;
            }
            if (step.kind === 'restart') pair.restart(step.node);
            else {
              const node = pair.nodes[step.node]!;
              if (step.kind === 'put') node.put(`key ${step.key}`, `value ${step.value}`);
              else if (step.kind === 'remove') node.remove(`key ${step.key}`);
              else node.refuses = step.times;
            }
            pair.run(step.run);
          }
          pair.settle();
          equalSides(pair);
          for (const { originals } of pair.nodes) originals.sendDigest();
          pair.settle();
          equalSides(pair);
        },
      ),
      { numRuns: 250 },
    );
  });

  it('says what was taken, and only that', () => {
    const pair = new Pair([0, 1, 0, 5, 7]);
    pair.run(200);
    const [a, b] = pair.nodes as [Node, Node];
    for (let i = 0; i < 100; i++) {
      a.put(`key ${i % 10}`, `value ${i}`);
      pair.run(2);
      for (const token of a.acknowledged) {
        const [key, value] = token.split('=') as [string, string];
        // a newer one may be there already
        expect(Number(b.holds.get(key)!.slice(6))).toBeGreaterThanOrEqual(Number(value.slice(6)));
      }
    }
    pair.settle();
    expect(b.holds.get('key 9')).toBe('value 99');
    expect(a.acknowledged).toContain('key 9=value 99');
  });

  it('a rebooted peer is told from one that was silent', () => {
    const pair = new Pair([]);
    pair.run(100);
    for (const { icl } of pair.nodes) icl.lose();
    pair.run(100);
    expect(pair.nodes[0]!.sameProcess).toEqual([false, true]);
    pair.restart(1);
    pair.run(200);
    expect(pair.nodes[0]!.sameProcess).toEqual([false, true, false]);
    expect(pair.nodes[1]!.sameProcess).toEqual([false]);
  });

  it('a peer that takes nothing slows the sender, and nothing is lost', () => {
    const pair = new Pair([], 4);
    pair.run(100);
    const [a, b] = pair.nodes as [Node, Node];
    let made = 0;
    a.icl.setSource('session', (most) =>
      made < 500 ? new Uint8Array(Math.min(most, 100)).fill(++made & 0xff) : null,
    );
    b.refuses = 1e9;
    pair.run(500);
    expect(made).toBeLessThan(20);
    expect(a.icl.underWay).toBe(4);
    b.refuses = 0;
    pair.run(3000);
    expect(made).toBe(500);
    expect(a.icl.isIdle).toBe(true);
    expect(a.icl.counters.again).toBeLessThan(10);
  });

  it('a digest that differs brings the class again', () => {
    const pair = new Pair([]);
    pair.run(100);
    const [a, b] = pair.nodes as [Node, Node];
    for (let i = 0; i < 50; i++) a.put(`key ${i}`, `value ${i}`);
    pair.settle();
    // the peer believes something else
    b.replicas.deliver({
      class: 'sa',
      operation: 'put',
      key: 'key 7',
      value: new TextEncoder().encode('wrong'),
    });
    expect(b.holds.get('key 7')).toBe('wrong');
    a.originals.sendDigest();
    pair.settle();
    expect(b.replicas.mismatches).toBe(1);
    expect(Object.fromEntries(b.holds)).toEqual(Object.fromEntries(a.says));
  });

  it('a full queue is counted, and the class sent again once there is room', () => {
    const pair = new Pair([]);
    const small = new Node(0, 900, 8);
    pair.nodes[0] = small;
    pair.run(100);
    for (let i = 0; i < 70_000; i++) small.put(`k${i}`, 'v');
    expect(small.icl.counters.queueFull).toBeGreaterThan(0);
    for (let i = 10; i < 70_000; i++) small.remove(`k${i}`);
    for (let i = 0; i < 400 && (small.originals.isBehind || !small.icl.isIdle); i++) pair.run(100);
    pair.settle();
    equalSides(pair);
  }, 30_000);

  it('two nodes with one node-id do not connect, and say why', () => {
    const pair = new Pair([]);
    const user = {
      connected: () => expect.unreachable(),
      lost: () => {},
      hello: () => new Uint8Array(0),
      heard: () => {},
      deliver: () => true,
      acknowledged: () => {},
    };
    const options = { ...iclDefaults, nodeId: 3, peerNodeId: null, helloMs: 10, deadMs: 100 };
    const a = new Icl({ ...options, session: 1 }, user);
    const b = new Icl({ ...options, session: 2 }, user);
    for (const bytes of a.tick(0)) expect(b.receive(bytes, 0)).toBe('own node-id');
    const c = new Icl({ ...options, session: 2, nodeId: 2, peerNodeId: 1 }, user);
    for (const bytes of a.tick(10)) expect(c.receive(bytes, 0)).toBe('other node-id');
    expect(pair.now).toBe(0);
  });

  it('hostile datagrams are dropped by name and change nothing', () => {
    const pair = new Pair([]);
    pair.run(100);
    const [a, b] = pair.nodes as [Node, Node];
    a.put('key', 'value');
    pair.settle();
    const header = { nodeId: 1, from: 77, to: 78, taken: 0, received: 0, window: 9, gaps: [0, 0] as const };
    expect(b.icl.receive(encodeIclAck(header), pair.now)).toBe('other connection');
    expect(b.icl.receive(encodeIclHello(header, 1, new Uint8Array(0)), pair.now)).toBe('other connection');
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), fc.boolean(), (bytes, looksRight) => {
        if (looksRight && bytes.length > 3) bytes.set([1, bytes[1]! % 3, 1]);
        expect(b.icl.receive(bytes, pair.now)).not.toBeNull();
        decodeIcl(bytes);
      }),
      { numRuns: 2000 },
    );
    a.put('key', 'another');
    pair.settle();
    expect(b.holds.get('key')).toBe('another');
    expect(b.icl.counters.dropped.runt).toBeGreaterThan(0);
  });

  it('objects that lie about their length are none', () => {
    expect(readIclObject(new Uint8Array([0, 0, 5, 0, 0, 1, 2]), 0)).toBeNull();
    expect(readIclObject(new Uint8Array([0, 0, 0, 0, 9, 1]), 0)).toBeNull();
    expect(readIclObject(new Uint8Array([0, 0, 1, 0, 0, 0xff]), 0)).toBeNull();
    expect(readIclObject(new Uint8Array([200, 0, 0, 0, 0]), 0)).toBeNull();
    expect(decodeIcl(new Uint8Array(iclHeaderBytes - 1))).toEqual({ ok: false, reason: 'runt' });
  });

  it('keys are not left behind in what was sent', () => {
    const pair = new Pair([]);
    pair.run(100);
    const [a] = pair.nodes as [Node, Node];
    const value = new Uint8Array(32).fill(7);
    a.icl.send('sa', 'put', 'secret', value);
    pair.settle();
    expect(value.every((byte) => byte === 0)).toBe(true);
  });
});
