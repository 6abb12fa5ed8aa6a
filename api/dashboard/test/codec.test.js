// The MQTT codec of the live client, held against bytes of the standard.

import test from 'node:test';
import assert from 'node:assert/strict';
import { encode, decode, meaning } from '../static/mqtt/codec.js';
import { Writer, Reader, Malformed, utf8, text } from '../static/mqtt/bytes.js';

const hex = (bytes) => Buffer.from(bytes).toString('hex');
const from = (h) => new Uint8Array(Buffer.from(h.replaceAll(' ', ''), 'hex'));

test('CONNECT has its flags, properties, will and credentials in their order', () => {
  const bytes = encode({
    type: 'connect',
    clientId: 'c',
    cleanStart: true,
    keepAlive: 30,
    username: 'u',
    password: 'p',
    properties: { sessionExpiry: 5 },
    will: { topic: 'w', payload: utf8('bye'), qos: 1, retain: true, properties: { willDelay: 2 } },
  });
  assert.equal(
    hex(bytes),
    hex(from('10 27 0004 4d515454 05 ee 001e 05 11 00000005 0001 63 05 18 00000002 0001 77 0003 627965 0001 75 0001 70')),
  );
});

test('a CONNECT without anything has an empty client id and no flags', () => {
  assert.equal(hex(encode({ type: 'connect' })), '100d00044d5154540500000000' + '0000');
});

test('PUBLISH has a packet identifier only with a QoS', () => {
  assert.equal(hex(encode({ type: 'publish', topic: 'a', payload: 'x' })), '3005' + '000161' + '00' + '78');
  assert.equal(
    hex(encode({ type: 'publish', topic: 'a', payload: 'x', qos: 2, packetId: 258, dup: true, retain: true })),
    '3d07' + '000161' + '0102' + '00' + '78',
  );
});

test('properties of a PUBLISH come back as they were sent', () => {
  const sent = {
    payloadFormat: 1,
    messageExpiry: 4294967295,
    contentType: 'text/plain',
    responseTopic: 'r/é',
    correlationData: from('00ff'),
    userProperties: [
      ['a', '1'],
      ['a', '2'],
    ],
  };
  const { packet } = decode(encode({ type: 'publish', topic: 'ü', payload: 'x', qos: 1, packetId: 1, properties: sent }));
  assert.deepEqual(
    { ...packet.properties, correlationData: [...packet.properties.correlationData] },
    { ...sent, correlationData: [0, 255] },
  );
  assert.equal(packet.topic, 'ü');
});

test('SUBSCRIBE has the options of each filter', () => {
  const bytes = encode({
    type: 'subscribe',
    packetId: 10,
    filters: [{ filter: 'a/#', qos: 2, noLocal: true, retainAsPublished: true, retainHandling: 2 }, { filter: 'b' }],
  });
  assert.equal(hex(bytes), '820d' + '000a' + '00' + '0003612f23' + '2e' + '000162' + '00');
  assert.equal(hex(encode({ type: 'unsubscribe', packetId: 10, filters: ['b'] })), 'a206' + '000a' + '00' + '000162');
});

test('acknowledgements, PINGREQ and DISCONNECT', () => {
  for (const [packet, want] of [
    [{ type: 'puback', packetId: 1 }, '40020001'],
    [{ type: 'pubrec', packetId: 1, code: 0x80 }, '5003000180'],
    [{ type: 'pubrel', packetId: 1 }, '62020001'],
    [{ type: 'pubcomp', packetId: 1 }, '70020001'],
    [{ type: 'pingreq' }, 'c000'],
    [{ type: 'disconnect' }, 'e000'],
    [{ type: 'disconnect', code: 4 }, 'e0020400'],
  ])
    assert.equal(hex(encode(packet)), want);
});

test('what a server sends is decoded', () => {
  for (const [bytes, want] of [
    ['20 06 01 00 03 21 000a', { type: 'connack', sessionPresent: true, code: 0, properties: { receiveMaximum: 10 } }],
    ['20 09 00 87 06 1f 0003 6e6f21', { type: 'connack', sessionPresent: false, code: 0x87, properties: { reason: 'no!' } }],
    ['40 02 0007', { type: 'puback', packetId: 7, code: 0, properties: {} }],
    ['40 04 0007 10 00', { type: 'puback', packetId: 7, code: 0x10, properties: {} }],
    ['90 05 0007 00 01 87', { type: 'suback', packetId: 7, properties: {}, codes: [1, 0x87] }],
    ['b0 04 0007 00 11', { type: 'unsuback', packetId: 7, properties: {}, codes: [0x11] }],
    ['d0 00', { type: 'pingresp' }],
    ['e0 00', { type: 'disconnect', code: 0, properties: {} }],
    ['e0 02 8b 00', { type: 'disconnect', code: 0x8b, properties: {} }],
  ])
    assert.deepEqual(decode(from(bytes)), { packet: want, size: from(bytes).length });
});

test('a message with several subscription identifiers has them all', () => {
  const { packet } = decode(from('30 0b 0001 61 05 0b 01 0b 80 01 78 79'));
  assert.deepEqual(packet.properties.subscriptionId, [1, 128]);
  assert.equal(text(packet.payload), 'xy');
});

test('a packet that is not complete is waited for, whatever is missing', () => {
  const whole = encode({ type: 'publish', topic: 'a/b', payload: 'x'.repeat(300), qos: 1, packetId: 9 });
  for (let n = 0; n < whole.length; n++) assert.equal(decode(whole.subarray(0, n)), null);
  const two = new Uint8Array([...whole, ...from('d000')]);
  assert.equal(decode(two).size, whole.length);
});

test('what breaks the standard is refused', () => {
  for (const bytes of [
    '30 ff ff ff ff 01',
    '36 05 0001 61 00 78',
    '00 00',
    '80 02 0001',
    '30 03 0009 61',
    '20 05 00 00 02 7f 01',
    '40 01 00',
    '30 04 0001 ff 00',
    '20 09 00 00 06 21 0001 21 0002',
  ]) {
    assert.throws(() => decode(from(bytes)), Malformed, bytes);
  }
  assert.throws(() => encode({ type: 'connack' }), Malformed);
  assert.throws(() => encode({ type: 'publish', topic: 'x'.repeat(65536) }), Malformed);
  assert.throws(() => encode({ type: 'publish', topic: 'x', properties: { colour: 'red' } }), Malformed);
});

test('lengths of one to four bytes come back', () => {
  for (const n of [0, 1, 127, 128, 16383, 16384, 2097151, 2097152, 268435455]) {
    assert.equal(new Reader(new Writer().varint(n).done()).varint(), n);
  }
});

test('random packets come back, or are refused as malformed', () => {
  let seed = Number(process.env.SEED ?? Date.now() % 1e9);
  console.log(`seed ${seed}`);
  const random = (n) => (seed = (seed * 1103515245 + 12345) % 2147483648) % n;
  for (let i = 0; i < 20000; i++) {
    const bytes = Uint8Array.from({ length: random(24) }, () => random(256));
    try {
      const got = decode(bytes);
      assert.ok(got === null || got.size <= bytes.length);
    } catch (err) {
      assert.ok(err instanceof Malformed, err.stack);
    }
  }
});

test('reason codes are said in words', () => {
  assert.equal(meaning(0x87), 'not authorized (0x87)');
  assert.equal(meaning(0x10), 'no matching subscribers (0x10)');
  assert.equal(meaning(0xff), '0xff');
});
