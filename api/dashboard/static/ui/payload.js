// What a message carries: as JSON, as text or as bytes.

import { h, replace } from '../lib/dom.js';
import { text } from '../mqtt/bytes.js';
import { bytes as size } from '../lib/format.js';
import { segments, copyButton, badge } from './parts.js';

const most = 200000; // characters that are shown

// fromBase64 decodes what the API gives.
export function fromBase64(encoded) {
  const raw = atob(encoded ?? '');
  return Uint8Array.from(raw, (c) => c.charCodeAt(0));
}

// ofMessage returns the bytes of a message of the API: payload and payload_encoding.
export function ofMessage(m) {
  const p = m.payload;
  if (p === undefined || p === null) return new Uint8Array();
  if (m.payload_encoding === 'base64') return fromBase64(p);
  return new TextEncoder().encode(typeof p === 'string' ? p : JSON.stringify(p));
}

// preview is one line of it.
export function preview(bytes) {
  if (!bytes.length) return '(empty)';
  const t = text(bytes.subarray(0, 400)) ?? text(bytes.subarray(0, 399)) ?? text(bytes.subarray(0, 398));
  return t === null || /[\u0000-\u0008\u000e-\u001f]/.test(t)
    ? hexLine(bytes.subarray(0, 40)) + (bytes.length > 40 ? ' …' : '')
    : t.replace(/\s+/g, ' ');
}

const hexLine = (bytes) => Array.from(bytes, (b) => b.toString(16).padStart(2, '0')).join(' ');

// hexDump has 16 bytes a line, with what of them can be read.
export function hexDump(bytes) {
  const lines = [];
  for (let at = 0; at < Math.min(bytes.length, 16384); at += 16) {
    const row = bytes.subarray(at, at + 16);
    const read = Array.from(row, (b) => (b > 31 && b < 127 ? String.fromCharCode(b) : '.')).join('');
    lines.push(`${at.toString(16).padStart(6, '0')}  ${hexLine(row).padEnd(47)}  ${read}`);
  }
  if (bytes.length > 16384) lines.push(`… ${size(bytes.length - 16384)} more`);
  return lines.join('\n');
}

// colour marks the parts of JSON text.
function colour(json) {
  const out = [];
  let last = 0;
  for (const m of json.matchAll(/("(?:\\.|[^"\\])*")(\s*:)?|\b(true|false|null)\b|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g)) {
    out.push(json.slice(last, m.index));
    const kind = m[1] ? (m[2] ? 'json-key' : 'json-string') : m[3] ? 'json-word' : 'json-number';
    out.push(h('span', { class: kind }, m[1] ?? m[0]), m[2] ?? '');
    last = m.index + m[0].length;
  }
  out.push(json.slice(last));
  return out;
}

function parsed(t) {
  if (t === null || !/^\s*[[{"]/.test(t)) return undefined;
  try {
    return JSON.parse(t);
  } catch {
    return undefined;
  }
}

// payload shows bytes, with a choice of how.
export function payload(bytes) {
  const t = text(bytes);
  const value = parsed(t);
  const pre = h('pre.payload', { tabIndex: 0, role: 'group', 'aria-label': 'Payload' });
  const ways = [value !== undefined && ['json', 'JSON'], t !== null && ['text', 'Text'], ['hex', 'Bytes']].filter(Boolean);
  const show = (way) => {
    if (!bytes.length) replace(pre, '(empty)');
    else if (way === 'json') {
      const pretty = JSON.stringify(value, null, 2);
      replace(pre, pretty.length > 20000 ? pretty.slice(0, most) : colour(pretty));
    } else if (way === 'text') replace(pre, t.length > most ? `${t.slice(0, most)}…` : t);
    else replace(pre, hexDump(bytes));
  };
  show(ways[0][0]);
  return h(
    'div.stack',
    h(
      'div.row',
      ways.length > 1 && bytes.length > 0 && segments('Show the payload as', ways, ways[0][0], show),
      badge(size(bytes.length)),
      t !== null && bytes.length > 0 && h('span.push', copyButton(t, 'Copy the payload')),
    ),
    pre,
  );
}
