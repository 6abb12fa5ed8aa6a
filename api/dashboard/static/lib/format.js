// Numbers, sizes and times as people read them.

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const some = new Intl.NumberFormat('en', { maximumSignificantDigits: 3 });

// number: 12345.6 → 12,346; below ten with a fraction.
export function number(n) {
  if (n === null || n === undefined || Number.isNaN(Number(n))) return '–';
  n = Number(n);
  return Math.abs(n) < 10 && !Number.isInteger(n) ? some.format(n) : whole.format(n);
}

// count: 1 client, 2 clients
export const count = (n, one, many = `${one}s`) => `${number(n)} ${n === 1 ? one : many}`;

const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

// bytes: 1536 → 1.5 KiB
export function bytes(n) {
  if (n === null || n === undefined) return '–';
  let unit = 0;
  for (n = Number(n); Math.abs(n) >= 1024 && unit < units.length - 1; unit++) n /= 1024;
  return `${unit === 0 ? whole.format(n) : some.format(n)} ${units[unit]}`;
}

// seconds: 90 → 1 min 30 s; 0.0021 → 2.1 ms
export function seconds(n) {
  if (n === null || n === undefined) return '–';
  n = Number(n);
  if (n === 0) return '0 s';
  if (n < 0.001) return `${some.format(n * 1e6)} µs`;
  if (n < 1) return `${some.format(n * 1000)} ms`;
  if (n < 60) return `${some.format(n)} s`;
  const parts = [
    ['d', 86400],
    ['h', 3600],
    ['min', 60],
    ['s', 1],
  ];
  const text = [];
  for (const [name, size] of parts) {
    const k = Math.floor(n / size);
    n -= k * size;
    if (k > 0) text.push(`${whole.format(k)} ${name}`);
    if (text.length === 2) break;
  }
  return text.join(' ');
}

// expiry is a session's: 0xffffffff never ends.
export const expiry = (n) => (n === 0xffffffff ? 'never' : n === 0 ? 'with the connection' : seconds(n));

const relative = new Intl.RelativeTimeFormat('en', { numeric: 'auto', style: 'short' });

// ago: how long before (or after) now a time is.
export function ago(time, now = Date.now()) {
  const s = (new Date(time).getTime() - now) / 1000;
  const abs = Math.abs(s);
  if (abs < 5) return 'now';
  if (abs < 60) return relative.format(Math.round(s), 'second');
  if (abs < 3600) return relative.format(Math.round(s / 60), 'minute');
  if (abs < 86400) return relative.format(Math.round(s / 3600), 'hour');
  if (abs < 30 * 86400) return relative.format(Math.round(s / 86400), 'day');
  return new Date(time).toLocaleDateString('en', { year: 'numeric', month: 'short', day: 'numeric' });
}

// absolute: Jan 31, 2030, 12:00:00 in the reader's time zone
export function absolute(time) {
  return new Date(time).toLocaleString('en', { dateStyle: 'medium', timeStyle: 'medium', hourCycle: 'h23' });
}

// clock: 12:00:05
export const clock = (time, withSeconds = true) =>
  new Date(time).toLocaleTimeString('en', {
    hour: '2-digit',
    minute: '2-digit',
    second: withSeconds ? '2-digit' : undefined,
    hourCycle: 'h23',
  });

// plainTime turns what may be a number of seconds, of milliseconds or RFC 3339 into a Date; null: none.
export function plainTime(v) {
  if (v === null || v === undefined || v === '' || v === 'infinity') return null;
  if (typeof v === 'number') v = v > 1e11 ? v : v * 1000;
  const d = new Date(v);
  return Number.isNaN(d.getTime()) ? null : d;
}

// sentence begins with a capital.
export const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);

// words: max_packet_bytes → max packet bytes
export const words = (name) => String(name).replaceAll('_', ' ');
