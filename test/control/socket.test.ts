import { chmodSync, existsSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { findSocket, runtimeDirectory, takeSocket } from '../../dist/control/socket.js';
import { directory } from './support.js';

const servers: Server[] = [];
const server = () => {
  const made = createServer();
  servers.push(made);
  return made;
};
afterEach(() => {
  for (const each of servers.splice(0)) each.close();
});
const close = (of: Server) => new Promise<void>((resolve) => void of.close(() => resolve()));

describe('takeSocket', () => {
  it('makes a socket of mode 0600 in a directory of mode 0700, whatever the umask', async () => {
    const path = join(directory(), 'made', 'gw1.sock');
    const before = process.umask(0);
    try {
      await takeSocket(server(), path);
    } finally {
      expect(process.umask(before)).toBe(0);
    }
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(statSync(join(path, '..')).mode & 0o777).toBe(0o700);
  });

  it('refuses a directory that others may enter, and says the mend', async () => {
    const path = directory();
    chmodSync(path, 0o755);
    await expect(takeSocket(server(), join(path, 'gw1.sock'))).rejects.toThrow(`chmod 700 ${path}`);
  });

  it('refuses a socket that somebody listens to', async () => {
    const path = join(directory(), 'gw1.sock');
    await takeSocket(server(), path);
    await expect(takeSocket(server(), path)).rejects.toThrow(
      /another penstock run has the control socket .*stop it/,
    );
    expect(existsSync(path)).toBe(true);
  });

  it('replaces a socket that nobody listens to any more', async () => {
    const path = join(directory(), 'gw1.sock');
    // a process that is killed leaves its socket behind
    const { spawnSync } = await import('node:child_process');
    spawnSync(process.execPath, [
      '-e',
      `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`,
    ]);
    expect(statSync(path).isSocket()).toBe(true);
    const next = server();
    await takeSocket(next, path);
    await close(next);
    expect(existsSync(path)).toBe(false);
  });

  it('leaves a file alone that is no socket', async () => {
    const path = join(directory(), 'precious');
    writeFileSync(path, 'data');
    await expect(takeSocket(server(), path)).rejects.toThrow('is no socket');
    expect(existsSync(path)).toBe(true);
  });

  it('says which directory cannot be made', async () => {
    const path = directory();
    writeFileSync(join(path, 'file'), '');
    await expect(takeSocket(server(), join(path, 'file', 'gw1.sock'))).rejects.toThrow(/cannot make .*file/);
  });
});

describe('where sockets are', () => {
  it.each([
    [0, {}, '/run/penstock'],
    [1000, { XDG_RUNTIME_DIR: '/run/user/1000' }, '/run/user/1000/penstock'],
    [1000, {}, '/tmp/penstock-1000'],
  ])('of user %i with %j: %s', (uid, env, path) => {
    expect(runtimeDirectory(uid, env)).toBe(path);
  });

  it('finds the only one, and else says what to write', () => {
    const path = join(directory(), 'run');
    expect(() => findSocket(path)).toThrow(/no node runs here .*penstock run/);
    mkdirSync(path);
    expect(() => findSocket(path)).toThrow(/no node runs here/);
    writeFileSync(join(path, 'gw1.sock'), '');
    expect(findSocket(path)).toBe(join(path, 'gw1.sock'));
    writeFileSync(join(path, 'gw2.sock'), '');
    expect(() => findSocket(path)).toThrow(`--socket ${join(path, 'gw2.sock')}`);
  });
});
