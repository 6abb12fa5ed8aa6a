// Icons: strokes on a grid of 24.

import { s } from '../lib/dom.js';

const paths = {
  overview: 'M4 19V5M4 19h16M8 15l3.5-4 3 2.5L20 7',
  clients: 'M5 6h14v9H5zM9 19h6M12 15v4',
  subscriptions: 'M6 4v16M6 8h7a4 4 0 0 1 4 4v0M6 16h5M17 12l3 3M17 12l-3 3',
  groups: 'M12 8a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5M5 21v-2.5A3.5 3.5 0 0 1 8.5 15h7a3.5 3.5 0 0 1 3.5 3.5V21M12 8v7',
  retained: 'M6 4h12v16l-6-4-6 4z',
  streams: 'M3 7c3-3 6-3 9 0s6 3 9 0M3 13c3-3 6-3 9 0s6 3 9 0M3 19c3-3 6-3 9 0s6 3 9 0',
  consumers: 'M4 5h16v5H4zM12 10v9M8.5 15.5 12 19l3.5-3.5',
  live: 'M12 13.5a1.5 1.5 0 1 0 0-3 1.5 1.5 0 0 0 0 3M8 16a5.7 5.7 0 0 1 0-8M16 8a5.7 5.7 0 0 1 0 8M5.2 18.8a9.6 9.6 0 0 1 0-13.6M18.8 5.2a9.6 9.6 0 0 1 0 13.6',
  rules: 'M12 3l7.5 3v5.5c0 4.5-3 7.7-7.5 9.5-4.5-1.800-7.500-5-7.500-9.500V6zM9 11.800l2.200 2.200 4-4.200',
  bans: 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18M5.800 5.800l12.400 12.400',
  keys: 'M8 19a4 4 0 1 0 0-8 4 4 0 0 0 0 8M11 12.200 20 3.500M16.500 7l2.500 2.500',
  people:
    'M9 11a3.500 3.500 0 1 0 0-7 3.500 3.500 0 0 0 0 7M3 20c0-3.500 2.500-5.500 6-5.500s6 2 6 5.500M16 4.500a3.500 3.500 0 0 1 0 6.500M18 15c2 .8 3 2.500 3 5',
  listeners: 'M12 3v9M8.500 6.500v3A3.500 3.500 0 0 0 12 13a3.500 3.500 0 0 0 3.500-3.500v-3M12 13v8M6 21h12',
  alarms: 'M6 16v-5a6 6 0 1 1 12 0v5l2 2H4zM10 21h4',
  explain: 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18M9.500 9.500a2.500 2.500 0 1 1 3.500 2.300c-.7.3-1 .8-1 1.700M12 17h.01',
  traces: 'M4 6h9M4 12h16M4 18h6M17 6h3M14 18h6',
  config:
    'M4 7h9M17 7h3M4 17h3M11 17h9M15 9.500a2.500 2.500 0 1 0 0-5 2.500 2.500 0 0 0 0 5M9 19.500a2.500 2.500 0 1 0 0-5 2.500 2.500 0 0 0 0 5',
  audit: 'M7 3h10v18H7zM10 8h4M10 12h4M10 16h2',
  reference: 'M4 5c3-1.300 5.500-1.300 8 0v15c-2.500-1.300-5-1.300-8 0zM20 5c-3-1.300-5.500-1.300-8 0v15c2.500-1.300 5-1.300 8 0z',
  search: 'M11 18a7 7 0 1 0 0-14 7 7 0 0 0 0 14M16.200 16.200 21 21',
  close: 'M6 6l12 12M18 6 6 18',
  menu: 'M4 7h16M4 12h16M4 17h16',
  sun: 'M12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8M12 2.500V5M12 19v2.500M2.500 12H5M19 12h2.500M5.300 5.300 7 7M17 17l1.700 1.700M18.700 5.300 17 7M7 17l-1.700 1.700',
  moon: 'M20 14.500A8.500 8.500 0 0 1 9.500 4 8.500 8.500 0 1 0 20 14.500',
  auto: 'M12 3a9 9 0 1 0 0 18zM12 3a9 9 0 0 1 0 18',
  user: 'M12 12a4 4 0 1 0 0-8 4 4 0 0 0 0 8M4.500 20.500c.5-4 3.500-6 7.500-6s7 2 7.500 6',
  trash: 'M4 7h16M9 7V4h6v3M6.500 7l1 13h9l1-13M10 11v5M14 11v5',
  plus: 'M12 5v14M5 12h14',
  edit: 'M4 20l1-4L16 5l3 3L8 19z',
  eye: 'M2.500 12S6 5.500 12 5.500 21.500 12 21.500 12 18 18.500 12 18.500 2.500 12 2.500 12M12 15a3 3 0 1 0 0-6 3 3 0 0 0 0 6',
  next: 'M9 5l7 7-7 7',
  back: 'M15 5l-7 7 7 7',
  check: 'M5 12.500 10 17.500 19.500 7',
  warn: 'M12 4 21.500 20h-19zM12 10v4.500M12 17.500h.01',
  copy: 'M9 9h11v11H9zM15 9V4H4v11h5',
  download: 'M12 4v11M7.500 11l4.500 4.500 4.500-4.500M4 20h16',
  play: 'M7 4.500v15l12-7.500z',
  stop: 'M6 6h12v12H6z',
  restart: 'M19.500 12a7.500 7.500 0 1 1-2.300-5.400L20 9M20 4v5h-5',
  send: 'M4 12 20 4l-5 16-3.500-6.500z',
  out: 'M14 4h5v16h-5M14 12H4M8 8l-4 4 4 4',
  help: 'M4 7h16v11H4zM8 11h.01M12 11h.01M16 11h.01M8 14.500h8',
  mail: 'M3 6h18v13H3zM3 7l9 7 9-7',
};

// icon draws one. It says nothing to a screen reader: what it stands for is written beside it or in a label.
export function icon(name, size = 18) {
  return s(
    'svg',
    {
      viewBox: '0 0 24 24',
      width: size,
      height: size,
      fill: 'none',
      stroke: 'currentColor',
      'stroke-width': 1.7,
      'stroke-linecap': 'round',
      'stroke-linejoin': 'round',
      'aria-hidden': 'true',
    },
    s('path', { d: paths[name] ?? paths.explain }),
  );
}

// mark is the sign of the product.
export function mark() {
  const el = document.createElement('span');
  el.className = 'mark';
  el.append(
    s(
      'svg',
      {
        viewBox: '0 0 32 32',
        width: 24,
        height: 24,
        fill: 'none',
        stroke: 'currentColor',
        'stroke-width': 3,
        'stroke-linecap': 'round',
        'aria-hidden': 'true',
      },
      s('path', { d: 'M7 10c0 6.500 3.500 8.500 9 8.500s9-2 9-8.500' }),
      s('circle', { cx: 16, cy: 25.5, r: 2.3 }),
    ),
  );
  return el;
}
