/** server.mjs NAME PORT…: says who it is, and what it got, once the client has said all. */
import { createHash } from 'node:crypto';
import { createServer } from 'node:net';

const [name, ...ports] = process.argv.slice(2);
let listening = 0;
for (const port of ports) {
  createServer({ allowHalfOpen: true }, (socket) => {
    const hash = createHash('sha256');
    socket.on('data', (chunk) => hash.update(chunk));
    socket.on('error', () => {});
    socket.on('end', () => {
      const { localAddress, remoteAddress } = socket;
      socket.end(JSON.stringify({ name, localAddress, remoteAddress, hash: hash.digest('hex') }));
    });
  }).listen(Number(port), '::', () => {
    if (++listening === ports.length) console.log('ready');
  });
}
process.stdin.on('end', () => process.exit(0)).resume();
