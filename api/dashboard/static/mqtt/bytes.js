// Reading and writing the types that MQTT packets are made of.

const encoder = new TextEncoder();
const decoder = new TextDecoder('utf-8', { fatal: true });

export const utf8 = (text) => encoder.encode(text);

// text decodes UTF-8; null: it is none.
export function text(bytes) {
  try {
    return decoder.decode(bytes);
  } catch {
    return null;
  }
}

// Malformed is a packet that breaks the standard.
export class Malformed extends Error {}

// Writer gathers bytes.
export class Writer {
  #parts = [];
  length = 0;

  bytes(b) {
    this.#parts.push(b);
    this.length += b.length;
    return this;
  }

  u8(v) {
    return this.bytes(Uint8Array.of(v));
  }
  u16(v) {
    return this.bytes(Uint8Array.of(v >> 8, v & 0xff));
  }
  u32(v) {
    return this.bytes(Uint8Array.of(v >>> 24, (v >>> 16) & 0xff, (v >>> 8) & 0xff, v & 0xff));
  }

  // varint is a Variable Byte Integer.
  varint(v) {
    do {
      const more = v > 127;
      this.u8((v % 128) | (more ? 128 : 0));
      v = Math.floor(v / 128);
    } while (v > 0);
    return this;
  }

  // binary has its length before it.
  binary(b) {
    if (b.length > 65535) throw new Malformed(`${b.length} bytes do not fit: 65,535 is the most`);
    return this.u16(b.length).bytes(b);
  }

  string(t) {
    return this.binary(utf8(t));
  }

  done() {
    const all = new Uint8Array(this.length);
    let at = 0;
    for (const part of this.#parts) {
      all.set(part, at);
      at += part.length;
    }
    return all;
  }
}

// Reader takes bytes apart.
export class Reader {
  constructor(bytes) {
    this.all = bytes;
    this.at = 0;
  }

  get left() {
    return this.all.length - this.at;
  }

  bytes(n) {
    if (n > this.left) throw new Malformed('the packet ends early');
    this.at += n;
    return this.all.subarray(this.at - n, this.at);
  }

  u8() {
    return this.bytes(1)[0];
  }
  u16() {
    return this.u8() * 256 + this.u8();
  }
  u32() {
    return this.u16() * 65536 + this.u16();
  }

  varint() {
    let value = 0;
    for (let shift = 1, i = 0; i < 4; i++, shift *= 128) {
      const b = this.u8();
      value += (b & 127) * shift;
      if (b < 128) return value;
    }
    throw new Malformed('a length of more than four bytes');
  }

  binary() {
    return this.bytes(this.u16());
  }

  string() {
    const t = text(this.binary());
    if (t === null) throw new Malformed('a string is not UTF-8');
    return t;
  }

  rest() {
    return this.bytes(this.left);
  }
}
