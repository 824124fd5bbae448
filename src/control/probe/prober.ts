/** Sends one probe of any kind and says what became of it. */
import { randomBytes } from 'node:crypto';
import { Duplex } from 'node:stream';
import { connect as tlsConnect } from 'node:tls';
import type { ActiveProbe } from '../../node/health.js';
import { type CheckFunction, CommandRunner, messageOf, runFunction } from './custom.js';
import { AnswerReader, type HttpProbe, mostRead, requestOf } from './http.js';
import type { ProbeNetwork, ProbePath, ProbeStream } from './network.js';
import { clientHello, judgeHello } from './tls-hello.js';

/** fault: null when it was answered as it should be, otherwise why it failed. Called once, or never. */
export type Done = (fault: string | null) => void;

export interface Prober {
  /** Returns what gives the probe up; nothing is said of it any more then. */
  start(probe: ActiveProbe, path: ProbePath, realService: string, done: Done): () => void;
}

export class NetworkProber implements Prober {
  readonly #network: ProbeNetwork;
  readonly #functions: ReadonlyMap<string, CheckFunction>;
  readonly #commands = new CommandRunner();

  /** functions: by the name that a profile's `custom: { function: … }` says. */
  constructor(network: ProbeNetwork, functions: ReadonlyMap<string, CheckFunction> = new Map()) {
    this.#network = network;
    this.#functions = functions;
  }

  start(probe: ActiveProbe, path: ProbePath, realService: string, done: Done): () => void {
    let over = false;
    let giveUp = () => {};
    const finish: Done = (fault) => {
      if (over) return;
      over = true;
      giveUp();
      done(fault);
    };
    try {
      giveUp = this.#send(probe, path, realService, finish);
      if (over) giveUp();
    } catch (error) {
      finish(messageOf(error));
    }
    return () => {
      if (over) return;
      over = true;
      giveUp();
    };
  }

  #send(probe: ActiveProbe, path: ProbePath, realService: string, done: Done): () => void {
    switch (probe.kind) {
      case 'icmp':
        return this.#network.echo(path, () => done(null));
      case 'tcp':
        return this.#stream(path, probe.port, done, () => done(null));
      case 'http':
        return this.#http(probe, path, done);
      case 'https':
        return this.#https(probe, path, done);
      case 'ssl-hello':
        return this.#hello(probe, path, done);
      case 'udp': {
        const { port, send, expect } = probe;
        const onAnswer = (payload: Uint8Array) =>
          done(
            expect === null || Buffer.from(payload).includes(Buffer.from(expect))
              ? null
              : 'another answer than expected',
          );
        return this.#network.datagram(path, port, send, onAnswer, done);
      }
      case 'command':
        return this.#commands.run(probe.command, path, realService, done);
      case 'function': {
        const check = this.#functions.get(probe.function);
        if (check === undefined) throw new Error(`no function ${probe.function} was handed in`);
        return runFunction(check, path, realService, done);
      }
    }
  }

  /** A connection that a reset ends, whatever becomes of it. */
  #stream(
    path: ProbePath,
    port: number,
    done: Done,
    onOpen: (stream: () => ProbeStream) => void,
    onData: (bytes: Uint8Array) => void = () => {},
    onEnd: () => void = () => done('closed without an answer'),
  ): () => void {
    let stream: ProbeStream | null = null;
    // the network may be quick enough to have opened it before it is known here
    let opened = false;
    const open = () => {
      opened = true;
      if (stream !== null) onOpen(() => stream!);
    };
    stream = this.#network.connect(path, port, { onOpen: open, onData, onEnd, onError: done });
    if (opened) onOpen(() => stream!);
    return () => stream?.abort();
  }

  #http(probe: HttpProbe, path: ProbePath, done: Done): () => void {
    const reader = new AnswerReader(probe);
    const judge = (verdict: string | null) => {
      if (verdict !== null) done(verdict === '' ? null : verdict);
    };
    return this.#stream(
      path,
      probe.port,
      done,
      (stream) => stream().write(requestOf(probe, path.address)),
      (bytes) => judge(reader.push(bytes)),
      () => judge(reader.end()),
    );
  }

  #hello(
    { port, hostName }: Extract<ActiveProbe, { kind: 'ssl-hello' }>,
    path: ProbePath,
    done: Done,
  ): () => void {
    let read = new Uint8Array(0);
    return this.#stream(
      path,
      port,
      done,
      (stream) => stream().write(clientHello(randomBytes(96), hostName)),
      (bytes) => {
        read = Buffer.concat([read, bytes]);
        const verdict = read.length > mostRead ? 'not a TLS answer' : judgeHello(read);
        if (verdict !== null) done(verdict === '' ? null : verdict);
      },
    );
  }

  /** The certificate is not looked at: what is asked is whether the service answers, and probes go by address. */
  #https(probe: HttpProbe, path: ProbePath, done: Done): () => void {
    const reader = new AnswerReader(probe);
    const judge = (verdict: string | null) => {
      if (verdict !== null) done(verdict === '' ? null : verdict);
    };
    const duplex = new StreamDuplex();
    const stop = this.#stream(
      path,
      probe.port,
      (fault) => {
        duplex.destroy();
        done(fault);
      },
      (stream) => {
        duplex.carriedBy(stream());
        const tls = tlsConnect({
          socket: duplex,
          rejectUnauthorized: false,
          ...(probe.hostName === null ? {} : { servername: probe.hostName }),
        });
        tls.once('secureConnect', () => tls.write(requestOf(probe, path.address)));
        tls.on('data', (bytes: Buffer) => judge(reader.push(bytes)));
        tls.once('end', () => judge(reader.end()));
        tls.on('error', (error) => done(`TLS: ${messageOf(error)}`));
      },
      (bytes) => duplex.push(bytes),
      () => duplex.push(null),
    );
    return () => {
      duplex.destroy();
      stop();
    };
  }
}

/** A probe's stream as Node's own streams see it. */
class StreamDuplex extends Duplex {
  #stream: ProbeStream | null = null;

  carriedBy(stream: ProbeStream): void {
    this.#stream = stream;
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, callback: () => void): void {
    this.#stream?.write(chunk);
    callback();
  }
}
