/**
 * Numbered packets there and back, counted one by one:
 *
 *   node echo.mjs server PORT
 *   node echo.mjs client HOST PORT PACKETS-PER-SECOND     until SIGTERM; prints `sending`, then { sent, received, repeated }
 */
import { createSocket } from 'node:dgram';

const [role, ...args] = process.argv.slice(2);
const socket = createSocket({ type: 'udp4', recvBufferSize: 4 << 20, sendBufferSize: 4 << 20 });

if (role === 'server') {
  socket.on('message', (message, { port, address }) => socket.send(message, port, address));
  socket.bind(Number(args[0]), () => process.stdout.write('listening\n'));
} else {
  const [host, port, rate] = args;
  const seen = new Uint8Array(1 << 24);
  let sent = 0;
  let received = 0;
  let repeated = 0;
  socket.on('message', (message) => {
    const number = message.readUInt32BE(0);
    if (seen[number] === 1) repeated++;
    else received++;
    seen[number] = 1;
  });
  socket.on('error', () => {});
  const began = performance.now();
  const sending = setInterval(() => {
    const due = Math.min(Math.floor(((performance.now() - began) / 1000) * Number(rate)), sent + 200);
    while (sent < due) {
      const packet = Buffer.alloc(200);
      packet.writeUInt32BE(sent++);
      socket.send(packet, Number(port), host);
    }
  }, 4);
  process.on('SIGTERM', () => {
    clearInterval(sending);
    setTimeout(() => {
      process.stdout.write(`${JSON.stringify({ sent, received, repeated })}\n`);
      process.exit(0);
    }, 1500);
  });
  process.stdout.write('sending\n');
}
