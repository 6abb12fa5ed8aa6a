// Lines over time, drawn as SVG as wide as there is room.

import { h, s, replace } from '../lib/dom.js';
import { clock, absolute } from '../lib/format.js';

const left = 52;
const right = 8;
const above = 10;
const below = 20;

// ticks are round numbers from 0 to what is at least top. step is 1, 2 or 5 times a power of base.
export function ticks(top, base = 10) {
  if (!(top > 0)) return [0, 1];
  const raw = top / 4;
  const power = base ** Math.floor(Math.log(raw) / Math.log(base));
  const step = (base === 10 ? [1, 2, 5, 10] : [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024]).map((m) => m * power).find((v) => v >= raw);
  return Array.from({ length: Math.ceil(top / step - 1e-9) + 1 }, (_, i) => i * step);
}

// timeMarks are round times within [from, to], in milliseconds, at most n.
export function timeMarks(from, to, n = 6) {
  const steps = [5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 10800, 21600, 43200, 86400].map((v) => v * 1000);
  const step = steps.find((v) => (to - from) / v <= n) ?? steps.at(-1);
  const zone = new Date(from).getTimezoneOffset() * 60000;
  const marks = [];
  for (let t = Math.ceil((from - zone) / step) * step + zone; t <= to; t += step) marks.push(t);
  return marks;
}

// chart({title, series: [{name}], format, base, height}) draws lines. update takes [{time, values}].
export function chart({ title, series, format, base = 10, height = 170, area = true }) {
  const plot = h('div');
  const values = series.map(() => h('b', '–'));
  const legend = h(
    'ul.legend',
    series.map((one, i) => h('li', h('i', { class: `s${i + 1}` }), one.name, ' ', values[i])),
  );
  const tip = h('div.tip', { hidden: true });
  const el = h('figure.chart', { tabIndex: 0, role: 'group', 'aria-label': title }, legend, plot, tip);
  let points = [];
  let at = -1;
  let geometry = null;

  function draw() {
    const width = Math.max(220, plot.clientWidth || 600);
    const inner = width - left - right;
    const tall = height - above - below;
    if (points.length < 2) {
      replace(plot, h('div.state', h('p', 'The first values come in a moment.')));
      return;
    }
    const from = points[0].time;
    const to = points.at(-1).time;
    const rows = ticks(Math.max(...points.flatMap((p) => p.values.map((v) => v ?? 0))), base);
    const x = (t) => left + ((t - from) / (to - from || 1)) * inner;
    const y = (v) => above + tall - (v / rows.at(-1)) * tall;
    geometry = { x, width };
    const cross = s('line', { class: 'cross', y1: above, y2: above + tall, visibility: 'hidden' });
    geometry.cross = cross;
    replace(
      plot,
      s(
        'svg',
        { viewBox: `0 0 ${width} ${height}`, height, role: 'img', 'aria-label': summary() },
        rows
          .map((v) => [
            s('line', { class: 'axis', x1: left, x2: width - right, y1: Math.round(y(v)) + 0.5, y2: Math.round(y(v)) + 0.5 }),
            s('text', { x: left - 8, y: y(v) + 4, 'text-anchor': 'end' }, format(v)),
          ])
          .flat(),
        timeMarks(from, to, Math.max(2, Math.floor(inner / 90))).map((t) =>
          s('text', { x: x(t), y: height - 4, 'text-anchor': 'middle' }, clock(t, to - from < 300000)),
        ),
        series.map((_, i) => lines(i, x, y, above + tall)).flat(),
        cross,
      ),
    );
  }

  function lines(i, x, y, floor) {
    const known = points.filter((p) => p.values[i] !== null && p.values[i] !== undefined);
    if (!known.length) return [];
    const d = known.map((p, n) => `${n ? 'L' : 'M'}${x(p.time).toFixed(1)} ${y(p.values[i]).toFixed(1)}`).join('');
    return [
      area &&
        s('path', {
          class: `area s${i + 1}`,
          d: `${d}L${x(known.at(-1).time).toFixed(1)} ${floor}L${x(known[0].time).toFixed(1)} ${floor}Z`,
        }),
      s('path', { class: `line s${i + 1}`, d }),
    ].filter(Boolean);
  }

  function summary() {
    return `${title}. ${series
      .map((one, i) => {
        const all = points.map((p) => p.values[i] ?? 0);
        return `${one.name}: now ${format(all.at(-1))}, at most ${format(Math.max(...all))}`;
      })
      .join('. ')}.`;
  }

  function point(i) {
    at = i;
    const p = points[i];
    if (!p || !geometry) {
      tip.hidden = true;
      geometry?.cross.setAttribute('visibility', 'hidden');
      return;
    }
    const px = geometry.x(p.time);
    geometry.cross.setAttribute('x1', px);
    geometry.cross.setAttribute('x2', px);
    geometry.cross.setAttribute('visibility', 'visible');
    replace(
      tip,
      h('div', absolute(p.time)),
      h(
        'ul',
        series.map((one, n) =>
          h(
            'li',
            h('i', { class: `s${n + 1}` }),
            one.name,
            h('b', p.values[n] === null || p.values[n] === undefined ? '–' : format(p.values[n])),
          ),
        ),
      ),
    );
    tip.hidden = false;
    const room = geometry.width - tip.offsetWidth;
    tip.style.left = `${Math.max(0, Math.min(room, px > geometry.width / 2 ? px - tip.offsetWidth - 10 : px + 10))}px`;
    tip.style.top = `${legend.offsetHeight + 6}px`;
  }

  plot.addEventListener('pointermove', (e) => {
    const px = e.clientX - plot.getBoundingClientRect().left;
    if (!geometry || points.length < 2) return;
    let best = 0;
    points.forEach((p, i) => {
      if (Math.abs(geometry.x(p.time) - px) < Math.abs(geometry.x(points[best].time) - px)) best = i;
    });
    point(best);
  });
  plot.addEventListener('pointerleave', () => point(-1));
  el.addEventListener('blur', () => point(-1));
  el.addEventListener('keydown', (e) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[e.key];
    if (!step || !points.length) return;
    e.preventDefault();
    point(Math.min(points.length - 1, Math.max(0, at < 0 ? points.length - 1 : at + step)));
  });
  new ResizeObserver(draw).observe(plot);

  return {
    el,
    update(list) {
      points = list;
      series.forEach((_, i) => {
        values[i].textContent = list.length ? format(list.at(-1).values[i]) : '–';
      });
      draw();
      if (at >= 0) point(Math.min(at, points.length - 1));
    },
  };
}
