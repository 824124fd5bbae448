/** Where the control socket is, and how it is taken: mode 0600, in a directory that only its user may enter. */
import { chmodSync, lstatSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { connect, type Server } from 'node:net';
import { dirname, join } from 'node:path';
import { codeOf, StartError } from './errors.js';

/** Where sockets are that no configuration names. */
export function runtimeDirectory(
  uid = process.getuid?.() ?? 0,
  env: Readonly<Record<string, string | undefined>> = process.env,
): string {
  if (uid === 0) return '/run/penstock';
  return env.XDG_RUNTIME_DIR ? join(env.XDG_RUNTIME_DIR, 'penstock') : `/tmp/penstock-${uid}`;
}

export const defaultSocket = (hostName: string, directory = runtimeDirectory()) =>
  join(directory, `${hostName}.sock`);

/** The only socket in the runtime directory. Throws Error that says what to write when it is not the only one. */
export function findSocket(directory = runtimeDirectory()): string {
  let names: string[] = [];
  try {
    names = readdirSync(directory).filter((name) => name.endsWith('.sock'));
  } catch {
    // there is no directory, so there is no socket
  }
  if (names.length === 1) return join(directory, names[0]!);
  if (names.length === 0) {
    throw new Error(
      `no node runs here (no socket in ${directory}); start one with penstock run FILE, or name its --socket`,
    );
  }
  throw new Error(
    `${names.length} nodes run here; name one: ${names.map((name) => `--socket ${join(directory, name)}`).join(', ')}`,
  );
}

/** Throws StartError unless only this user may enter the directory; makes it when it is missing. */
function secureDirectory(directory: string): void {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
  } catch (error) {
    const reason = codeOf(error) === 'EACCES' || codeOf(error) === 'EROFS' ? 'privilege' : 'failure';
    throw new StartError(
      reason,
      `cannot make ${directory} for the control socket: ${(error as Error).message}`,
    );
  }
  const { mode, uid } = statSync(directory);
  const own = process.getuid?.() ?? uid;
  if (uid !== own) {
    throw new StartError(
      'privilege',
      `${directory} belongs to another user; write another system.control-socket`,
    );
  }
  if ((mode & 0o077) !== 0) {
    const mend = `chmod 700 ${directory}, or write another system.control-socket`;
    throw new StartError(
      'failure',
      `${directory}, where the control socket is to be, may be entered by others; ${mend}`,
    );
  }
}

/** Whether somebody listens there. */
function isLive(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const probe = connect(path);
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', (error) => {
      if (codeOf(error) === 'ECONNREFUSED' || codeOf(error) === 'ENOENT') resolve(false);
      // e.g. EAGAIN: its queue is full, so there is one
      else if (codeOf(error) === 'EACCES') reject(error);
      else resolve(true);
    });
  });
}

/**
 * Listens at the path. A socket that nobody listens to any more is replaced; throws StartError when somebody does.
 * Closing the server removes it.
 */
export async function takeSocket(server: Server, path: string): Promise<void> {
  secureDirectory(dirname(path));
  const there = lstatSync(path, { throwIfNoEntry: false });
  if (there !== undefined) {
    if (!there.isSocket())
      throw new StartError(
        'failure',
        `${path} is there and is no socket; write another system.control-socket`,
      );
    if (await isLive(path)) {
      const mend = 'stop it, or write another system.control-socket';
      throw new StartError('failure', `another penstock run has the control socket ${path}; ${mend}`);
    }
    rmSync(path);
  }
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) => {
      const busy = codeOf(error) === 'EADDRINUSE';
      const reason = codeOf(error) === 'EACCES' ? 'privilege' : 'failure';
      reject(
        new StartError(reason, busy ? `another penstock run has the control socket ${path}` : error.message),
      );
    });
    // the socket is made while listen() runs, so nobody finds it with another mode
    const before = process.umask(0o177);
    try {
      server.listen(path, resolve);
    } finally {
      process.umask(before);
    }
  });
  chmodSync(path, 0o600);
}
