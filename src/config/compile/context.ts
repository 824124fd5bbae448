import { dirname, join } from 'node:path';
import { type Path, suggestion } from '../problem.js';
import type { ConfigDocument } from '../schema.js';
import { type Finding, valueAt } from '../walk.js';

/** What a configuration may draw from outside itself; handed in, since this room has no files or environment. */
export interface Surroundings {
  /** The text of a file; throws when it cannot be read. */
  readFile(path: string): string;
  /** The value of an environment variable. */
  variable(name: string): string | undefined;
}

type Report = (path: Path, message: string, at?: 'key' | 'value') => void;

/** What every part of the compiler works with. */
export class Context {
  /** What is left of the file after everything with a wrong shape was taken out. */
  readonly document: ConfigDocument;
  readonly surroundings: Surroundings;
  readonly #file: string;
  readonly #declared: unknown;
  readonly #report: Report;
  readonly #warn: Report;
  /** Every place with a problem, and everything above it. */
  readonly #tainted = new Set<string>();
  /** Tables with entries under a wrong name, or which themselves stand under one. */
  readonly #misnamed = new Set<string>();

  /**
   * declared: the whole document, so that a reference to something that is there but wrong is no second
   * problem. findings: what is wrong with its shape.
   */
  constructor(
    file: string,
    document: ConfigDocument,
    declared: unknown,
    findings: readonly Finding[],
    surroundings: Surroundings,
    report: Report,
    warn: Report = () => undefined,
  ) {
    this.document = document;
    this.surroundings = surroundings;
    this.#file = file;
    this.#declared = declared;
    this.#report = report;
    this.#warn = warn;
    for (const { path, at, meant } of findings) {
      for (const place of meant === undefined ? [path] : [path, meant]) {
        for (let length = 0; length <= place.length; length++)
          this.#tainted.add(keyOf(place.slice(0, length)));
      }
      if (meant !== undefined) this.#misnamed.add(keyOf(meant));
      if (at === 'key') this.#misnamed.add(keyOf(path.slice(0, -1)));
    }
  }

  /** Whether nothing at or below the path has a wrong shape. */
  sound(...path: Path): boolean {
    return !this.#tainted.has(keyOf(path));
  }

  /** Reports, unless something below the path is wrong already, which may be the reason. */
  report(path: Path, message: string, at: 'key' | 'value' = 'value'): void {
    if (this.sound(...path)) this.#report(path, message, at);
  }

  /** Says what works, but may not do what is wanted. */
  warn(path: Path, message: string, at: 'key' | 'value' = 'value'): void {
    if (this.sound(...path)) this.#warn(path, message, at);
  }

  names(...path: Path): string[] {
    const table = valueAt(this.#declared, path);
    return typeof table === 'object' && table !== null ? Object.keys(table) : [];
  }

  /** Reports at `path` unless the table at `table` has the name. */
  refer(path: Path, kind: string, name: string, table: Path): boolean {
    if (valueAt(this.#declared, [...table, name]) !== undefined) return true;
    if (table.some((_, i) => this.#misnamed.has(keyOf(table.slice(0, i + 1))))) return false;
    const names = this.names(...table);
    const hint = suggestion(name, names);
    this.report(path, `no ${kind} ${name}${hint === '' ? `; ${listed(kind, names, table)}` : hint}`);
    return false;
  }

  /** Reports unless the logical interface exists; its full name, with the unit. */
  referInterface(path: Path, name: string): string | undefined {
    const full = fullName(name);
    const dot = full.lastIndexOf('.');
    const unit = ['interfaces', full.slice(0, dot), 'unit', full.slice(dot + 1)];
    if (valueAt(this.#declared, unit) !== undefined) return full;
    if (this.#misnamed.has('interfaces') || !this.sound('interfaces', full.slice(0, dot))) return undefined;
    const names = this.names('interfaces').flatMap((port) =>
      this.names('interfaces', port, 'unit').map((number) => `${port}.${number}`),
    );
    const hint = suggestion(full, names);
    this.report(
      path,
      `no interface ${full}${hint === '' ? `; ${listed('interface', names, ['interfaces'])}` : hint}`,
    );
    return undefined;
  }

  referInstance(path: Path, name: string): boolean {
    return name === 'default' || this.refer(path, 'routing instance', name, ['routing-instances']);
  }

  /** Relative paths count from the directory of the configuration. */
  path(path: string): string {
    return path.startsWith('/') ? path : join(dirname(this.#file), path);
  }

  /** A program: a name is looked for where programs are, a path counts from the directory of the configuration. */
  program(name: string): string {
    return name.includes('/') ? this.path(name) : name;
  }

  /** What a file or an environment variable holds, or the text itself; undefined when it cannot be had, which is reported. */
  secretText(at: Path, source: 'file' | 'env' | 'hex' | 'ascii', given: string): string | undefined {
    if (source === 'hex' || source === 'ascii') return given;
    if (source === 'env') {
      const value = this.surroundings.variable(given);
      if (value === undefined) this.report(at, `environment variable ${given} is not set`);
      return value;
    }
    const path = this.path(given);
    try {
      return this.surroundings.readFile(path);
    } catch (error) {
      const code = (error as { code?: unknown }).code;
      const reason =
        code === 'ENOENT' ? 'there is no such file' : code === 'EACCES' ? 'permission denied' : String(code);
      this.report(at, `cannot read ${path}: ${reason}`);
      return undefined;
    }
  }

  socketPath(at: Path, path: string | undefined): string | null {
    if (path === undefined) return null;
    const full = this.path(path);
    // sun_path holds 108 bytes with the final zero
    if (Buffer.byteLength(full) > 107) this.report(at, 'a socket path longer than 107 bytes');
    return full;
  }
}

/** An interface without a unit means unit 0, as in the reference documents' language. */
export function fullName(name: string): string {
  return name.includes('.') ? name : `${name}.0`;
}

export function portOf(logical: string): string {
  return logical.slice(0, logical.lastIndexOf('.'));
}

function listed(kind: string, names: readonly string[], table: Path): string {
  if (names.length === 0) return `there is no ${kind}: add it under ${table.join('.')}`;
  const shown = names.slice(0, 8).join(', ');
  return `known here: ${shown}${names.length > 8 ? `, and ${names.length - 8} more` : ''}`;
}

function keyOf(path: Path): string {
  return path.join('\0');
}
