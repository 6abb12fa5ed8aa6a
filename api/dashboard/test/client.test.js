// The MQTT client of the live page, against a WebSocket that a test plays.

import test from 'node:test';
import assert from 'node:assert/strict';
import { Client } from '../static/mqtt/client.js';

const hex = (bytes) => Buffer.from(bytes).toString('hex');
const from = (h) => new Uint8Array(Buffer.from(h.replaceAll(' ', ''), 'hex')).buffer;

// fake is the WebSocket class; sockets has those that were opened.
function fake() {
  const sockets = [];
  class Fake {
    sent = [];
    constructor(url, protocols) {
      Object.assign(this, { url, protocols });
      sockets.push(this);
      queueMicrotask(() => this.onopen());
    }
    send(bytes) {
      this.sent.push(hex(bytes));
    }
    close() {
      queueMicrotask(() => this.onclose());
    }
    receive(h) {
      this.onmessage({ data: from(h) });
    }
  }
  return { Fake, sockets };
}

async function connected(ack = '20 03 00 00 00') {
  const { Fake, sockets } = fake();
  const client = new Client('ws://x/mqtt', { WebSocket: Fake });
  const opened = client.connect({ clientId: 'c', keepAlive: 0 });
  await new Promise(setImmediate);
  sockets[0].receive(ack);
  return { client, socket: sockets[0], opened };
}

const last = (socket) => socket.sent.at(-1);

test('it connects with the subprotocol mqtt', async () => {
  const { client, socket, opened } = await connected();
  assert.equal((await opened).code, 0);
  assert.deepEqual(socket.protocols, ['mqtt']);
  assert.ok(client.connected);
});

test('a refusal says why', async () => {
  const { socket, opened } = await connected('20 03 00 87 00');
  socket.close();
  await assert.rejects(opened, /not authorized \(0x87\)/);
});

test('a publish of QoS 1 ends with its PUBACK, one of QoS 2 with its PUBCOMP', async () => {
  const { client, socket } = await connected();
  const one = client.publish({ topic: 'a', payload: 'x', qos: 1 });
  assert.equal(last(socket), '3207' + '000161' + '0001' + '00' + '78');
  socket.receive('40 03 0001 10');
  assert.equal((await one).code, 0x10);
  const two = client.publish({ topic: 'a', payload: 'x', qos: 2 });
  socket.receive('50 02 0002');
  assert.equal(last(socket), '62020002');
  socket.receive('70 02 0002');
  assert.equal((await two).code, 0);
  const refused = client.publish({ topic: 'a', payload: 'x', qos: 2 });
  socket.receive('50 03 0003 87');
  assert.equal((await refused).code, 0x87);
});

test('it subscribes, acknowledges what it gets, and gets QoS 2 once', async () => {
  const { client, socket } = await connected();
  const got = [];
  client.addEventListener('message', (e) => got.push([e.detail.topic, e.detail.qos]));
  const codes = client.subscribe([{ filter: 'a/#', qos: 2 }]);
  socket.receive('90 04 0001 00 02');
  assert.deepEqual(await codes, [2]);
  socket.receive('30 05 0001 61 00 78 32 07 0001 62 0005 00 78'); // two packets in one message
  assert.equal(last(socket), '40020005');
  socket.receive('34 07 0001 63 0006 00'); // and one in two
  socket.receive('78');
  socket.receive('3c 07 0001 63 0006 00 78');
  socket.receive('62 02 0006');
  assert.deepEqual(socket.sent.slice(-3), ['50020006', '50020006', '70020006']);
  assert.deepEqual(got, [
    ['a', 0],
    ['b', 1],
    ['c', 2],
  ]);
});

test('when the connection ends, what waits is told why', async () => {
  const { client, socket } = await connected();
  let why;
  client.addEventListener('close', (e) => {
    why = e.detail;
  });
  const waiting = client.publish({ topic: 'a', payload: 'x', qos: 1 });
  socket.receive('e0 02 8e 00');
  socket.close();
  await assert.rejects(waiting, /session taken over/);
  assert.match(why, /session taken over/);
  await assert.rejects(client.subscribe([{ filter: 'a' }]), /not connected/);
});

test('a broker that sends nonsense is left', async () => {
  const { client, socket } = await connected();
  let why;
  client.addEventListener('close', (e) => {
    why = e.detail;
  });
  socket.receive('00 00');
  await new Promise(setImmediate);
  assert.match(why, /no MQTT/);
});
