// Starts the dashboard: the login, or the frame with the page that the address names.

import { session } from './lib/session.js';
import { onExpiry } from './lib/api.js';
import { parse, View, go } from './lib/router.js';
import { h, replace } from './lib/dom.js';
import { loginPage, loginAgain } from './ui/login.js';
import { frame } from './ui/frame.js';
import { bones, failed } from './ui/parts.js';
import { pages } from './pages.js';

const root = document.getElementById('app');
let shell = null;
let view = null;

// find returns the page of an address.
function find(parts) {
  return pages.find((p) => p.path === parts[0] && (p.detail ? parts.length > 1 : parts.length <= 1)) ?? null;
}

async function show() {
  const address = parse(location.hash);
  if (!address.parts.length) address.parts = [pages[0].path];
  view?.end();
  const page = find(address.parts);
  const mine = new View(h('div'), address);
  view = mine;
  shell.current(address.parts[0]);
  replace(shell.main, mine.root);
  if (!page) {
    replace(
      mine.root,
      failed({ message: `There is no page ${location.hash}.` }, () => go(pages[0].path)),
    );
    return;
  }
  document.title = `${page.title} · Barid`;
  replace(mine.root, bones());
  try {
    const module = await page.load();
    if (mine.ended) return;
    replace(mine.root);
    await module.show(mine);
  } catch (err) {
    if (err.name === 'AbortError' || mine.ended) return;
    console.debug(err);
    replace(mine.root, failed(err, show));
  }
}

function start() {
  if (!session.token) {
    view?.end();
    shell?.end();
    shell = null;
    document.title = 'Log in · Barid';
    replace(root, loginPage());
    return;
  }
  const who = `${session.username} ${session.role}`;
  if (shell?.who === who) return; // logged in again
  shell?.end();
  shell = { ...frame(root), who };
  show();
}

onExpiry(loginAgain);
session.onChange(start);
addEventListener('hashchange', () => {
  if (!shell) return;
  show();
  scrollTo(0, 0);
  shell.main.focus({ preventScroll: true });
});
start();
