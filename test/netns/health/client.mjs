/**
 * Long-lived connections to the virtual address, from many addresses. A byte a while on each, which must come back.
 * Lines on its input are answered by one line of JSON each:
 *
 *   open      opens what is not open                       {"open":1000}
 *   count     of each connection: where it ends, what it got {"connections":[{"source":…,"gateway":…,"echoed":…,"lost":0}]}
 *
 *   node client.mjs DESTINATION PORT CONNECTIONS-EACH SOURCE…
 */
import { connect } from 'node:net';
import { createInterface } from 'node:readline';

const [destination, port, each, ...sources] = process.argv.slice(2);
const everyMs = 2000;
const turns = 40;
const patienceMs = 10_000;

const connections = sources.flatMap((source) =>
  Array.from({ length: Number(each) }, () => ({
    source,
    socket: null,
    isOpen: false,
    gateway: '',
    sent: 0,
    echoed: 0,
    lost: 0,
    reason: '',
  })),
);

function openOne(connection) {
  if (connection.socket !== null) return Promise.resolve();
  return new Promise((resolve) => {
    const socket = connect({ host: destination, port: Number(port), localAddress: connection.source });
    connection.socket = socket;
    socket.setNoDelay(true);
    let greeting = '';
    socket.on('data', (bytes) => {
      if (connection.isOpen) {
        connection.echoed += bytes.length;
        return;
      }
      greeting += bytes.toString();
      const end = greeting.indexOf('\n');
      if (end < 0) return;
      connection.gateway = greeting.slice(0, end);
      connection.isOpen = true;
      resolve();
    });
    socket.on('error', (error) => {
      connection.reason = error.code ?? error.message;
    });
    socket.on('close', () => {
      if (connection.isOpen) connection.lost++;
      connection.isOpen = false;
      connection.socket = null;
      resolve();
    });
    setTimeout(resolve, patienceMs).unref();
  });
}

// a part of them each turn, so that they do not come all at once
let turn = 0;
setInterval(() => {
  turn = (turn + 1) % turns;
  for (let i = turn; i < connections.length; i += turns) {
    const connection = connections[i];
    if (!connection.isOpen) continue;
    connection.socket.write('.');
    connection.sent++;
  }
}, everyMs / turns).unref();

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** A few at a time: a thousand handshakes at once overrun the queues of the links. */
async function openAll() {
  for (let i = 0; i < connections.length; i += 50) {
    await Promise.all(connections.slice(i, i + 50).map(openOne));
    await pause(5);
  }
  return { open: connections.filter(({ isOpen }) => isOpen).length };
}

const answers = {
  open: openAll,
  count: async () => ({ connections: connections.map(({ socket: _, ...rest }) => rest) }),
};
for await (const line of createInterface({ input: process.stdin })) {
  const answer = answers[line.trim()];
  if (answer !== undefined) console.log(JSON.stringify(await answer()));
}
process.exit(0);
