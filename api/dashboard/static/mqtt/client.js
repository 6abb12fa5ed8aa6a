// A client of MQTT 5 over WebSocket. It keeps no session: what was under way when the connection ends is lost, and said so.

import { encode, decode, meaning } from './codec.js';

// Client tells what happens by events: 'open', 'close' (detail: why), 'message' (detail: the packet).
export class Client extends EventTarget {
  #socket = null;
  #rest = new Uint8Array();
  #waiting = new Map(); // packet identifier → {resolve, reject, want}
  #received = new Set(); // QoS 2 that is not released
  #nextId = 0;
  #timer = null;
  #heard = 0;
  #why = '';

  constructor(url, { WebSocket = globalThis.WebSocket } = {}) {
    super();
    this.url = url;
    this.WebSocket = WebSocket;
  }

  get connected() {
    return this.state === 'connected';
  }
  state = 'closed';

  // connect returns the CONNACK, or throws what was wrong.
  connect(options) {
    const { keepAlive = 60, ...rest } = options;
    this.state = 'connecting';
    this.#why = '';
    this.#rest = new Uint8Array();
    this.#received.clear();
    return new Promise((resolve, reject) => {
      const socket = new this.WebSocket(this.url, ['mqtt']);
      this.#socket = socket;
      socket.binaryType = 'arraybuffer';
      socket.onopen = () => this.#send({ type: 'connect', cleanStart: true, keepAlive, ...rest });
      socket.onmessage = (e) => this.#take(new Uint8Array(e.data));
      socket.onclose = () => {
        reject(new Error(this.#why || 'the broker does not accept MQTT here'));
        this.#ended();
      };
      this.#waiting.set('connack', {
        resolve: (p) => {
          this.state = 'connected';
          this.#beat(p.properties.serverKeepAlive ?? keepAlive);
          resolve(p);
          this.dispatchEvent(new Event('open'));
        },
        reject,
      });
    });
  }

  // publish returns once the broker has acknowledged: {code}. QoS 0 returns at once.
  async publish(message) {
    if (!(message.qos > 0)) {
      this.#send({ type: 'publish', ...message });
      return { code: 0 };
    }
    return this.#ask({ type: 'publish', ...message }, message.qos === 2 ? 'pubrec' : 'puback');
  }

  // subscribe returns the code of each filter.
  async subscribe(filters, properties) {
    return (await this.#ask({ type: 'subscribe', filters, properties }, 'suback')).codes;
  }

  async unsubscribe(filters) {
    return (await this.#ask({ type: 'unsubscribe', filters }, 'unsuback')).codes;
  }

  // end disconnects.
  end() {
    if (this.connected) this.#send({ type: 'disconnect' });
    this.#why = 'disconnected';
    this.#socket?.close();
  }

  #id() {
    do this.#nextId = (this.#nextId % 65535) + 1;
    while (this.#waiting.has(this.#nextId));
    return this.#nextId;
  }

  #ask(packet, want) {
    if (!this.connected) return Promise.reject(new Error('not connected'));
    const packetId = this.#id();
    return new Promise((resolve, reject) => {
      this.#waiting.set(packetId, { resolve, reject, want });
      try {
        this.#send({ ...packet, packetId });
      } catch (err) {
        // it cannot be encoded
        this.#waiting.delete(packetId);
        reject(err);
      }
    });
  }

  #send(packet) {
    this.#socket.send(encode(packet));
  }

  #take(chunk) {
    this.#heard = Date.now();
    let bytes = chunk;
    if (this.#rest.length) {
      bytes = new Uint8Array(this.#rest.length + chunk.length);
      bytes.set(this.#rest);
      bytes.set(chunk, this.#rest.length);
    }
    try {
      for (let next = decode(bytes); next; next = decode(bytes)) {
        bytes = bytes.subarray(next.size);
        this.#handle(next.packet);
      }
      this.#rest = bytes;
    } catch (err) {
      this.#why = `the broker sent what is no MQTT: ${err.message}`;
      this.#socket.close();
    }
  }

  #handle(p) {
    switch (p.type) {
      case 'connack':
        if (p.code >= 0x80) this.#why = refusal(p);
        else this.#settle('connack', p);
        break;
      case 'publish':
        this.#deliver(p);
        break;
      case 'pubrec':
        if (p.code >= 0x80) this.#settle(p.packetId, p);
        else {
          const asked = this.#waiting.get(p.packetId);
          if (asked) Object.assign(asked, { want: 'pubcomp', code: p.code });
          this.#send({ type: 'pubrel', packetId: p.packetId });
        }
        break;
      case 'pubrel':
        this.#received.delete(p.packetId);
        this.#send({ type: 'pubcomp', packetId: p.packetId });
        break;
      case 'puback':
      case 'pubcomp':
      case 'suback':
      case 'unsuback':
        this.#settle(p.packetId, p);
        break;
      case 'disconnect':
        this.#why = refusal(p);
        break;
    }
  }

  #deliver(p) {
    if (p.qos === 1) this.#send({ type: 'puback', packetId: p.packetId });
    if (p.qos === 2) {
      this.#send({ type: 'pubrec', packetId: p.packetId });
      if (this.#received.has(p.packetId)) return;
      this.#received.add(p.packetId);
    }
    this.dispatchEvent(new CustomEvent('message', { detail: p }));
  }

  #settle(key, p) {
    const asked = this.#waiting.get(key);
    this.#waiting.delete(key);
    asked?.resolve(asked.code ? { ...p, code: p.code || asked.code } : p);
  }

  // beat sends a PINGREQ when it is time, and gives up on a broker that does not answer.
  #beat(seconds) {
    if (!seconds) return;
    this.#heard = Date.now();
    this.#timer = setInterval(() => {
      if (Date.now() - this.#heard > seconds * 1500) {
        this.#why = 'the broker did not answer in time';
        this.#socket.close();
      } else this.#send({ type: 'pingreq' });
    }, seconds * 500);
  }

  #ended() {
    clearInterval(this.#timer);
    const why = this.#why || 'the connection ended';
    for (const { reject } of this.#waiting.values()) reject(new Error(why));
    this.#waiting.clear();
    this.state = 'closed';
    this.dispatchEvent(new CustomEvent('close', { detail: why }));
  }
}

const refusal = (p) => meaning(p.code) + (p.properties.reason ? `: ${p.properties.reason}` : '');
