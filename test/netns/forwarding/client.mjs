/** client.mjs ADDRESS PORT COUNT BYTES: so many connections; a line of JSON about each. */
import { createHash, randomBytes } from 'node:crypto';
import { connect } from 'node:net';

const [host, port, count, bytes] = process.argv.slice(2);

function exchange() {
  return new Promise((resolve) => {
    const data = randomBytes(Number(bytes));
    let answer = '';
    const socket = connect({ host, port: Number(port) });
    socket.setTimeout(10_000, () => socket.destroy(new Error('no answer')));
    socket.on('connect', () => socket.end(data));
    socket.on('data', (chunk) => (answer += chunk));
    socket.on('error', ({ message }) => resolve({ error: message }));
    socket.on('end', () => {
      const said = JSON.parse(answer);
      resolve({ ...said, same: said.hash === createHash('sha256').update(data).digest('hex') });
    });
  });
}

for (const each of await Promise.all(Array.from({ length: Number(count) }, exchange)))
  console.log(JSON.stringify(each));
