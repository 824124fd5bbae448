/**
 * A gateway behind the balancer: echoes on TCP 7000 (a greeting with its name first), HTTP on 8080, HTTPS on 8443, UDP
 * on 9000. Lines on its input change how it behaves: ok, error (status 500), slow.
 *
 *   node server.mjs NAME ADDRESS KEY CERTIFICATE
 */
import { createSocket } from 'node:dgram';
import { readFileSync } from 'node:fs';
import { createServer as createHttp } from 'node:http';
import { createServer as createHttps } from 'node:https';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';

const [name, address, key, certificate] = process.argv.slice(2);
let mode = 'ok';
const slowMs = 4000;

const answer = (_request, response) => {
  const send = () => {
    response.statusCode = mode === 'error' ? 500 : 200;
    response.end(`I am ${name}, all is well\n`);
  };
  if (mode === 'slow') setTimeout(send, slowMs);
  else send();
};
const ignore = () => {};

const echo = createServer((socket) => {
  socket.on('error', ignore);
  socket.write(`${name}\n`);
  socket.pipe(socket);
});
const http = createHttp(answer);
const https = createHttps({ key: readFileSync(key), cert: readFileSync(certificate) }, answer);
for (const server of [http, https]) server.on('clientError', (_error, socket) => socket.destroy());
https.on('tlsClientError', ignore);
const udp = createSocket('udp4');
udp.on('message', (message, from) => {
  if (message.toString() === 'PING') udp.send(`PONG from ${name}`, from.port, from.address);
});

createInterface({ input: process.stdin }).on('line', (line) => {
  mode = line.trim();
});
process.stdin.on('end', () => process.exit(0));

let open = 0;
const ready = () => {
  if (++open === 4) console.log('ready');
};
echo.listen(7000, '0.0.0.0', 4096, ready);
http.listen(8080, '0.0.0.0', ready);
https.listen(8443, '0.0.0.0', ready);
// an unbound socket would answer from the link's address
udp.bind(9000, address, ready);
