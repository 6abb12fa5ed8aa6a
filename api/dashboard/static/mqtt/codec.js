// Packets of MQTT 5: what a client sends is encoded, what it receives is decoded.

import { Writer, Reader, Malformed, utf8 } from './bytes.js';

const types = {
  connect: 1,
  connack: 2,
  publish: 3,
  puback: 4,
  pubrec: 5,
  pubrel: 6,
  pubcomp: 7,
  subscribe: 8,
  suback: 9,
  unsubscribe: 10,
  unsuback: 11,
  pingreq: 12,
  pingresp: 13,
  disconnect: 14,
  auth: 15,
};
const names = Object.fromEntries(Object.entries(types).map(([name, id]) => [id, name]));

// The properties: their identifier, name and type.
const properties = [
  [0x01, 'payloadFormat', 'u8'],
  [0x02, 'messageExpiry', 'u32'],
  [0x03, 'contentType', 'string'],
  [0x08, 'responseTopic', 'string'],
  [0x09, 'correlationData', 'binary'],
  [0x0b, 'subscriptionId', 'varint'],
  [0x11, 'sessionExpiry', 'u32'],
  [0x12, 'assignedClientId', 'string'],
  [0x13, 'serverKeepAlive', 'u16'],
  [0x15, 'authMethod', 'string'],
  [0x16, 'authData', 'binary'],
  [0x17, 'requestProblem', 'u8'],
  [0x18, 'willDelay', 'u32'],
  [0x19, 'requestResponse', 'u8'],
  [0x1a, 'responseInfo', 'string'],
  [0x1c, 'serverReference', 'string'],
  [0x1f, 'reason', 'string'],
  [0x21, 'receiveMaximum', 'u16'],
  [0x22, 'topicAliasMaximum', 'u16'],
  [0x23, 'topicAlias', 'u16'],
  [0x24, 'maximumQoS', 'u8'],
  [0x25, 'retainAvailable', 'u8'],
  [0x26, 'userProperties', 'pairs'],
  [0x27, 'maximumPacketSize', 'u32'],
  [0x28, 'wildcardAvailable', 'u8'],
  [0x29, 'subscriptionIdAvailable', 'u8'],
  [0x2a, 'sharedAvailable', 'u8'],
];
const byName = new Map(properties.map(([id, name, type]) => [name, { id, type }]));
const byId = new Map(properties.map(([id, name, type]) => [id, { name, type }]));
const several = new Set(['subscriptionId']); // may be there more than once

function writeProperties(w, values = {}) {
  const p = new Writer();
  for (const [name, value] of Object.entries(values)) {
    if (value === undefined || value === null || value === '') continue;
    const known = byName.get(name);
    if (!known) throw new Malformed(`there is no property ${name}`);
    if (known.type === 'pairs') for (const [k, v] of value) p.u8(known.id).string(k).string(v);
    else p.varint(known.id)[known.type](value);
  }
  const bytes = p.done();
  w.varint(bytes.length).bytes(bytes);
}

function readProperties(r) {
  const p = new Reader(r.bytes(r.varint()));
  const values = {};
  while (p.left > 0) {
    const id = p.varint();
    const known = byId.get(id);
    if (!known) throw new Malformed(`property 0x${id.toString(16)} is unknown`);
    if (known.type === 'pairs') (values.userProperties ??= []).push([p.string(), p.string()]);
    else if (several.has(known.name)) (values[known.name] ??= []).push(p[known.type]());
    else if (known.name in values) throw new Malformed(`property ${known.name} is there twice`);
    else values[known.name] = p[known.type]();
  }
  return values;
}

const writers = {
  connect(w, p) {
    const flags =
      (p.cleanStart ? 2 : 0) |
      (p.will ? 4 | ((p.will.qos ?? 0) << 3) | (p.will.retain ? 32 : 0) : 0) |
      (p.password !== undefined ? 64 : 0) |
      (p.username !== undefined ? 128 : 0);
    w.string('MQTT')
      .u8(5)
      .u8(flags)
      .u16(p.keepAlive ?? 0);
    writeProperties(w, p.properties);
    w.string(p.clientId ?? '');
    if (p.will) {
      writeProperties(w, p.will.properties);
      w.string(p.will.topic).binary(p.will.payload ?? new Uint8Array());
    }
    if (p.username !== undefined) w.string(p.username);
    if (p.password !== undefined) w.string(p.password);
    return 0;
  },
  publish(w, p) {
    w.string(p.topic);
    if (p.qos > 0) w.u16(p.packetId);
    writeProperties(w, p.properties);
    w.bytes(typeof p.payload === 'string' ? utf8(p.payload) : (p.payload ?? new Uint8Array()));
    return (p.dup ? 8 : 0) | ((p.qos ?? 0) << 1) | (p.retain ? 1 : 0);
  },
  subscribe(w, p) {
    w.u16(p.packetId);
    writeProperties(w, p.properties);
    for (const f of p.filters)
      w.string(f.filter).u8((f.qos ?? 0) | (f.noLocal ? 4 : 0) | (f.retainAsPublished ? 8 : 0) | ((f.retainHandling ?? 0) << 4));
    return 2;
  },
  unsubscribe(w, p) {
    w.u16(p.packetId);
    writeProperties(w, p.properties);
    for (const f of p.filters) w.string(f);
    return 2;
  },
  pingreq: () => 0,
  disconnect(w, p) {
    if (p.code || p.properties) {
      w.u8(p.code ?? 0);
      writeProperties(w, p.properties);
    }
    return 0;
  },
};

for (const name of ['puback', 'pubrec', 'pubrel', 'pubcomp']) {
  writers[name] = (w, p) => {
    w.u16(p.packetId);
    if (p.code) w.u8(p.code);
    return name === 'pubrel' ? 2 : 0;
  };
}

// encode returns a packet's bytes.
export function encode(packet) {
  const write = writers[packet.type];
  if (!write) throw new Malformed(`a client does not send ${packet.type}`);
  const body = new Writer();
  const flags = write(body, packet);
  return new Writer()
    .u8((types[packet.type] << 4) | flags)
    .varint(body.length)
    .bytes(body.done())
    .done();
}

const codes = (r) => [...r.rest()];

const readers = {
  connack(r) {
    return { sessionPresent: (r.u8() & 1) === 1, code: r.u8(), properties: readProperties(r) };
  },
  publish(r, flags) {
    const p = { dup: (flags & 8) !== 0, qos: (flags >> 1) & 3, retain: (flags & 1) === 1, topic: r.string() };
    if (p.qos === 3) throw new Malformed('QoS 3');
    if (p.qos > 0) p.packetId = r.u16();
    p.properties = readProperties(r);
    p.payload = r.rest();
    return p;
  },
  suback: (r) => ({ packetId: r.u16(), properties: readProperties(r), codes: codes(r) }),
  unsuback: (r) => ({ packetId: r.u16(), properties: readProperties(r), codes: codes(r) }),
  pingresp: () => ({}),
  disconnect: (r) => ({ code: r.left ? r.u8() : 0, properties: r.left ? readProperties(r) : {} }),
  auth: (r) => ({ code: r.left ? r.u8() : 0, properties: r.left ? readProperties(r) : {} }),
};

for (const name of ['puback', 'pubrec', 'pubrel', 'pubcomp']) {
  readers[name] = (r) => ({ packetId: r.u16(), code: r.left ? r.u8() : 0, properties: r.left ? readProperties(r) : {} });
}

// decode takes the first packet off bytes: {packet, size}. null: it is not complete yet.
export function decode(bytes) {
  if (bytes.length < 2) return null;
  let size = 0;
  let at = 1;
  for (let shift = 1; ; shift *= 128, at++) {
    if (at > 4) throw new Malformed('a length of more than four bytes');
    if (at >= bytes.length) return null;
    size += (bytes[at] & 127) * shift;
    if (bytes[at] < 128) break;
  }
  at++;
  if (bytes.length < at + size) return null;
  const type = names[bytes[0] >> 4];
  const read = readers[type];
  if (!read) throw new Malformed(`a server does not send ${type ?? 'packets of type 0'}`);
  return { packet: { type, ...read(new Reader(bytes.subarray(at, at + size)), bytes[0] & 15) }, size: at + size };
}

const said = {
  0x80: 'unspecified error',
  0x81: 'malformed packet',
  0x82: 'protocol error',
  0x83: 'implementation specific error',
  0x84: 'unsupported protocol version',
  0x85: 'client identifier not valid',
  0x86: 'bad user name or password',
  0x87: 'not authorized',
  0x88: 'server unavailable',
  0x89: 'server busy',
  0x8a: 'banned',
  0x8b: 'server shutting down',
  0x8c: 'bad authentication method',
  0x8d: 'keep alive timeout',
  0x8e: 'session taken over',
  0x8f: 'topic filter invalid',
  0x90: 'topic name invalid',
  0x91: 'packet identifier in use',
  0x92: 'packet identifier not found',
  0x93: 'receive maximum exceeded',
  0x94: 'topic alias invalid',
  0x95: 'packet too large',
  0x96: 'message rate too high',
  0x97: 'quota exceeded',
  0x98: 'administrative action',
  0x99: 'payload format invalid',
  0x9a: 'retain not supported',
  0x9b: 'QoS not supported',
  0x9c: 'use another server',
  0x9d: 'server moved',
  0x9e: 'shared subscriptions not supported',
  0x9f: 'connection rate exceeded',
  0xa0: 'maximum connect time',
  0xa1: 'subscription identifiers not supported',
  0xa2: 'wildcard subscriptions not supported',
};

// meaning says a reason code in words: not authorized (0x87)
export function meaning(code) {
  if (code === 0x10) return 'no matching subscribers (0x10)';
  return said[code] ? `${said[code]} (0x${code.toString(16)})` : `0x${code.toString(16).padStart(2, '0')}`;
}
