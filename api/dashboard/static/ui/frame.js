// What is around every page: the sidebar, the bar at the top, shortcuts.

import { h, replace } from '../lib/dom.js';
import { session, logout } from '../lib/session.js';
import { events } from '../lib/api.js';
import { link, go } from '../lib/router.js';
import { sections, byPath, pages } from '../pages.js';
import { icon, mark } from './icons.js';
import { iconButton, button } from './parts.js';
import { palette } from './palette.js';
import { dialog } from './dialog.js';
import { formDialog } from './form.js';
import { post, path } from '../lib/api.js';
import { done } from './toast.js';
import { health } from './health.js';

const themes = { auto: ['auto', 'Theme: as the system'], light: ['sun', 'Theme: light'], dark: ['moon', 'Theme: dark'] };

function themeButton() {
  const order = ['auto', 'light', 'dark'];
  let theme = document.documentElement.dataset.theme ?? 'auto';
  const el = iconButton(themes[theme][0], themes[theme][1], {
    onclick: () => {
      theme = order[(order.indexOf(theme) + 1) % order.length];
      if (theme === 'auto') delete document.documentElement.dataset.theme;
      else document.documentElement.dataset.theme = theme;
      try {
        localStorage.setItem('barid.theme', theme);
      } catch {
        /* it lasts until the page is left */
      }
      replace(el, icon(themes[theme][0]));
      el.title = themes[theme][1];
      el.setAttribute('aria-label', el.title);
    },
  });
  return el;
}

function userMenu() {
  const menu = h(
    'details.menu',
    h('summary.icon-button', { title: `Logged in as ${session.username}`, 'aria-label': 'You' }, icon('user')),
    h(
      'div',
      h('div.who', h('strong', session.username), h('div.quiet', session.role)),
      button('Change the password', { plain: true, icon: 'keys', onclick: changePassword }),
      button('Shortcuts', { plain: true, icon: 'help', onclick: shortcutHelp }),
      h('a.button.plain', { href: 'reference', target: '_blank', rel: 'noopener' }, icon('reference', 17), 'API reference'),
      button('Log out', { plain: true, icon: 'out', onclick: logout }),
    ),
  );
  menu.addEventListener('click', (e) => {
    if (e.target.closest('.button')) menu.open = false;
  });
  menu.addEventListener('focusout', (e) => {
    if (!menu.contains(e.relatedTarget))
      setTimeout(() => {
        if (!menu.contains(document.activeElement)) menu.open = false;
      }, 150);
  });
  menu.addEventListener('keydown', (e) => {
    if (e.key === 'Escape') {
      menu.open = false;
      menu.firstChild.focus();
    }
  });
  return menu;
}

function changePassword() {
  return formDialog(
    'Change the password',
    [
      { name: 'old_pwd', label: 'Old password', type: 'password', required: true, autocomplete: 'current-password', wide: true },
      {
        name: 'new_pwd',
        label: 'New password',
        type: 'password',
        required: true,
        autocomplete: 'new-password',
        hint: '8 characters or more',
        wide: true,
      },
    ],
    'Change',
    async (v) => {
      await post(path`users/${session.username}/change_pwd`, v);
      done('The password is changed. Log in with the new one.');
      session.end();
    },
  );
}

function shortcutHelp() {
  const keys = [
    ['/', 'Search on this page'],
    ['Ctrl K', 'Go to a page or a client'],
    ['?', 'This list'],
    ['Esc', 'Close a dialog'],
    ...pages.filter((p) => p.keys && (session.manages || !p.manage)).map((p) => [`g ${p.keys}`, p.title]),
  ];
  return dialog(
    'Shortcuts',
    () =>
      h(
        'div.dialog-body',
        h(
          'dl.facts',
          keys.map(([k, what]) =>
            h(
              'div.row',
              h(
                'dt',
                k.split(' ').map((one) => [h('kbd', one), ' ']),
              ),
              h('dd', what),
            ),
          ),
        ),
      ),
    { wide: true },
  );
}

// shortcuts listens to keys until signal ends.
function shortcuts(signal) {
  let pending = 0;
  addEventListener(
    'keydown',
    (e) => {
      if ((e.ctrlKey || e.metaKey) && e.key.toLowerCase() === 'k') {
        e.preventDefault();
        if (!document.querySelector('dialog[open]')) palette();
        return;
      }
      if (
        e.ctrlKey ||
        e.metaKey ||
        e.altKey ||
        document.querySelector('dialog[open]') ||
        e.target.closest?.('input, textarea, select, [contenteditable]')
      )
        return;
      if (Date.now() - pending < 1200) {
        pending = 0;
        const p = pages.find((one) => one.keys === e.key);
        if (p) {
          e.preventDefault();
          go(p.path);
          return;
        }
      }
      if (e.key === 'g') pending = Date.now();
      else if (e.key === '/') {
        const field = document.querySelector('#main [data-search]');
        if (field) {
          e.preventDefault();
          field.focus();
          field.select();
        }
      } else if (e.key === '?') shortcutHelp();
    },
    { signal },
  );
}

// frame draws all that into root.
export function frame(root) {
  const ended = new AbortController();
  const links = new Map();
  const nav = h(
    'nav.nav.stack',
    { 'aria-label': 'Pages' },
    sections
      .filter((section) => session.manages || !section.pages.every((p) => byPath(p).manage))
      .map((section) =>
        h(
          'div',
          section.name && h('h2', section.name),
          h(
            'ul',
            section.pages
              .map(byPath)
              .filter((p) => session.manages || !p.manage)
              .map((p) => {
                const a = h('a', { href: link(p.path) }, icon(p.icon), h('span', p.title));
                links.set(p.path, a);
                return h('li', a);
              }),
          ),
        ),
      ),
  );
  const state = health(links.get('alarms'), ended.signal);
  const side = h('aside.side', { id: 'side' }, h('a.brand', { href: '#/' }, mark(), h('span', 'Barid', state.node)), nav);
  const shade = h('div.shade', { hidden: true, onclick: () => open(false) });
  const menuButton = iconButton('menu', 'Menu', {
    class: 'menu-button',
    'aria-expanded': 'false',
    'aria-controls': 'side',
    onclick: () => open(true),
  });
  function open(yes) {
    side.classList.toggle('open', yes);
    shade.hidden = !yes;
    menuButton.setAttribute('aria-expanded', yes);
    if (yes) side.querySelector('a').focus();
    else if (side.contains(document.activeElement)) menuButton.focus();
  }
  nav.addEventListener('click', (e) => {
    if (e.target.closest('a')) open(false);
  });
  side.addEventListener('keydown', (e) => {
    if (e.key === 'Escape') open(false);
  });

  const offline = h('div.offline', { role: 'alert', hidden: true }, icon('warn'), 'The broker does not answer. Trying again…');
  events.addEventListener(
    'reach',
    (e) => {
      offline.hidden = e.detail;
    },
    { signal: ended.signal },
  );
  const main = h('main.main', { id: 'main', tabIndex: -1 });
  const jump = h('button.jump', { type: 'button', onclick: () => palette() }, icon('search', 16), 'Go to…', h('kbd', 'Ctrl K'));
  const top = h('header.top', menuButton, jump, state.el, themeButton(), userMenu());
  addEventListener('scroll', () => top.classList.toggle('scrolled', scrollY > 4), { passive: true, signal: ended.signal });
  shortcuts(ended.signal);
  replace(root, h('div.frame', side, h('div', top, offline, main)), shade);
  return {
    main,
    current(path) {
      for (const [one, a] of links) {
        if (one === path) a.setAttribute('aria-current', 'page');
        else a.removeAttribute('aria-current');
      }
    },
    end() {
      ended.abort();
    },
  };
}
