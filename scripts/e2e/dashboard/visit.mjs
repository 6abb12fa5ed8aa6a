// Uses the dashboard of a running broker as people do, and prints "ok <rule>" for each rule that held. It fails at the end if
// one did not.
//
//   node visit.mjs http://127.0.0.1:18083 PASSWORD [DIRECTORY for screenshots]

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { launch, pause } from './browser.mjs';

const [base, password, shots] = process.argv.slice(2);
const axe = readFileSync(join(process.env.NODE_PATH, 'axe-core', 'axe.min.js'), 'utf8');
const browser = await launch();
const page = await browser.page();
const failures = [];

// rule runs a part of the visit. Errors on the console and violations of the policy count against it.
async function rule(name, fn) {
  const before = page.problems.length;
  try {
    await fn();
    const problems = page.problems.slice(before);
    if (problems.length) throw new Error(`the console says: ${problems.join('; ')}`);
    console.log(`ok ${name}`);
  } catch (err) {
    failures.push(name);
    console.log(`FAILED ${name}: ${err.message}`);
    if (shots) await page.screenshot(join(shots, `failed-${failures.length}.png`), false);
    await page.evaluate(() => document.querySelectorAll('dialog').forEach((d) => d.close())).catch(() => {});
  }
}

const must = (value, what) => {
  if (!value) throw new Error(what);
};

// api asks the broker with the page's token.
const api = (path, method = 'GET', body) =>
  page.evaluate(
    async (p, m, b) => {
      const token = JSON.parse(sessionStorage.getItem('barid.session')).token;
      const r = await fetch(`api/v5/${p}`, {
        method: m,
        headers: { Authorization: `Bearer ${token}`, 'Content-Type': 'application/json' },
        body: b && JSON.stringify(b),
      });
      return { status: r.status, value: await r.json().catch(() => null) };
    },
    path,
    method,
    body,
  );

async function open(path) {
  await page.evaluate(
    (p) =>
      new Promise((resolve) => {
        if (location.hash === `#/${p}`) return resolve();
        addEventListener('hashchange', () => resolve(), { once: true });
        location.hash = `#/${p}`;
      }),
    path,
  );
  await settled();
}

// settled waits until the page has what it shows.
const settled = () =>
  page.until(
    'the page to have loaded',
    () => document.querySelector('#main h1') && !document.querySelector('#main [aria-busy]') && !document.querySelector('#main .state.bad'),
  );

// accessible runs axe over what is shown.
async function accessible(where) {
  if (!(await page.evaluate(() => 'axe' in window))) await page.evaluate(`(() => { ${axe} })()`);
  const found = await page.evaluate(async () => {
    const { violations } = await window.axe.run(document, { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice'] });
    return violations.map(
      (v) =>
        `${v.id}: ${v.nodes
          .slice(0, 3)
          .map((n) => `${n.target.join(' ')} (${n.any[0]?.message ?? n.failureSummary})`)
          .join(', ')}`,
    );
  });
  must(!found.length, `${where}: ${found.join('\n')}`);
}

const login = async (username, secret) => {
  await page.type('Username', username);
  await page.type('Password', secret);
  await page.press('Enter');
};

await page.size(1280, 860);
await page.theme('light');
await page.goto(`${base}/`);

await rule('a wrong password is said, and leads nowhere', async () => {
  await page.see('Log in');
  await accessible('login');
  await login('admin', 'wrong');
  await page.see('The username or the password is wrong.');
  page.problems.length = 0; // the browser notes the 401
});

await rule('the right one opens the dashboard', async () => {
  await login('admin', password);
  await page.until('the frame', () => document.querySelector('.frame'));
  await settled();
});

const paths = await page.evaluate(() => [...document.querySelectorAll('.nav a')].map((a) => a.getAttribute('href').slice(2)));
const more = [
  'clients/desk-1',
  'clients/away',
  'clients/away?tab=waiting',
  'subscriptions?as=list',
  'streams/measured',
  'history',
  'explain?clientid=desk-1&topic=measured/1',
  'rules?tab=all',
  'rules?tab=users',
  'rules?tab=clients',
  'rules?tab=roles',
  'alarms?tab=over',
  'consumers/reader',
  'config',
].filter((p) => paths.includes(p.split(/[/?]/)[0]) || p === 'history');

for (const path of [...paths, ...more]) {
  await rule(`${path} is shown, light and dark, wide and narrow`, async () => {
    await page.size(1280, 860);
    await page.theme('light');
    await open(path);
    await pause(300);
    await accessible(`${path}, light`);
    if (shots) await page.screenshot(join(shots, `${path.replace(/\W+/g, '-')}-light.png`), false);
    await page.theme('dark');
    await accessible(`${path}, dark`);
    await page.size(360, 780);
    await pause(100);
    must(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'it scrolls sideways at 360 px');
    await accessible(`${path}, narrow`);
    if (shots) await page.screenshot(join(shots, `${path.replace(/\W+/g, '-')}-narrow-dark.png`), false);
  });
}
await page.size(1280, 860);
await page.theme('light');

await rule('the live client publishes and receives, with every QoS', async () => {
  await open('live');
  await page.click('#main button', 'Connect');
  await page.see('Connected as');
  await page.type('Topic filter', 'chat/#');
  await page.click('#main button', 'Subscribe');
  await page.until('the subscription', () => [...document.querySelectorAll('.subs .tag')].some((e) => e.innerText === 'chat/#'));
  for (const qos of ['0', '1', '2']) {
    await page.type('Topic', `chat/${qos}`);
    await page.type('Payload', `{"qos": ${qos}}`);
    await page.evaluate((v) => {
      const s = [...document.querySelectorAll('select')].find((e) => e.name === 'qos' && e.labels[0].innerText === 'QoS');
      s.value = v;
    }, qos);
    await page.click('#main button', 'Publish');
    await page.until(
      `the message chat/${qos}, sent and received`,
      (t) => [...document.querySelectorAll('.log summary')].filter((e) => e.innerText.includes(t)).length === 2,
      `chat/${qos}`,
    );
  }
  await page.click('.log summary', 'chat/2');
  await page.see('"qos"');
  await accessible('live with messages');
  await open('clients');
  await page.see('dashboard-'); // it stays connected
  await open('live');
  await page.click('#main button', 'Disconnect');
  await page.see('Not connected');
});

await rule('a retained message is looked at and deleted', async () => {
  await open('retained');
  await page.click('#main button', 'Look at kept/1');
  await page.see('"kept"');
  await accessible('a dialog');
  await page.click('dialog button', 'Delete');
  await page.see('Subscribers are not told.');
  await page.click('dialog:last-of-type .dialog-foot button', 'Delete');
  await page.see('is deleted');
  must((await api('mqtt/retainer/message/kept%2F1')).status === 404, 'it is still there');
  page.problems = page.problems.filter((p) => !p.includes('404'));
  must((await api('mqtt/retainer/message/kept%2F2')).status === 200, 'another is gone');
});

await rule('a client is found and disconnected', async () => {
  await open('clients');
  await page.type('Client id', 'desk-2');
  await page.unsee('desk-1');
  await page.click('#main tbody a', 'desk-2');
  await page.see('Kept');
  const before = (await api('clients/desk-2')).value.connected_at;
  await page.click('#main button', 'Disconnect');
  await page.see('Disconnect the client?');
  await page.click('dialog .dialog-foot button', 'Disconnect');
  await page.see('desk-2 is disconnected.');
  const after = await api('clients/desk-2');
  page.problems = page.problems.filter((p) => !p.includes('404'));
  must(after.status === 404 || after.value.connected_at !== before, 'it has the same connection as before');
});

await rule('everything is reached by keyboard', async () => {
  await open('clients');
  await page.evaluate(() => {
    window.before = true;
  });
  await page.send('Page.reload');
  await page.until('the page anew', () => !window.before && document.querySelector('#main h1'));
  await settled();
  await page.press('Tab');
  must(await page.evaluate(() => document.activeElement.className === 'skip'), 'Tab does not begin with the skip link');
  await page.press('k', 2);
  await page.until('the palette', () => document.activeElement?.getAttribute('role') === 'combobox');
  await page.send('Input.insertText', { text: 'audit' });
  await page.press('Enter');
  await page.until('the audit log', () => document.querySelector('#main h1')?.innerText === 'Audit log');
  await settled();
  await page.press('g');
  await page.press('r');
  await page.until('the retained messages', () => document.querySelector('#main h1')?.innerText === 'Retained messages');
  await settled();
  await page.until('the search of the page', () => document.querySelector('#main input[type=search]'));
  await page.press('/');
  await page.until('the search, by /', () => document.activeElement.type === 'search');
  await page.evaluate(() => document.activeElement.blur());
  await page.press('?');
  await page.until('the list of shortcuts', () => document.querySelector('dialog[open]'));
  for (let i = 0; i < 8; i++) await page.press('Tab');
  must(
    await page.evaluate(
      () => document.activeElement === document.body || document.querySelector('dialog').contains(document.activeElement),
    ),
    'the focus leaves the dialog',
  );
  await page.press('Escape');
  await page.until('its end', () => !document.querySelector('dialog'));
  await open('subscriptions');
  await page.evaluate(() => document.querySelector('[role="tree"] [tabindex="0"]').focus());
  const first = await page.evaluate(() => document.activeElement.dataset.path);
  await page.press('ArrowDown');
  must(
    await page.evaluate(
      (p) => document.activeElement.getAttribute('role') === 'treeitem' && document.activeElement.dataset.path !== p,
      first,
    ),
    'arrows do not walk the tree',
  );
});

await rule('what waits for a client is seen', async () => {
  await open('clients/away?tab=waiting');
  await page.see('night/1');
});

await rule('a listener is stopped and started', async () => {
  await open('listeners');
  await page.click('#main button', 'Stop ws');
  await page.click('dialog .dialog-foot button', 'Stop');
  await page.see('ws is stopped.');
  await page.click('#main button', 'Start ws');
  await page.see('ws is open.');
});

await rule('a setting is changed live, and taken back', async () => {
  await open('config?q=logging.level');
  await page.click('#main button', 'Change logging.level');
  await page.type('Value', 'debug');
  await page.click('dialog button[type="submit"]', 'Change');
  await page.see('logging.level is changed.');
  await page.until('its new value', () => [...document.querySelectorAll('.setting')].some((e) => /debug[^]*live/.test(e.innerText)));
  await page.click('#main button', 'Change logging.level');
  await page.click('dialog button', 'Take it back');
  await page.see('as it was before');
});

await rule('a trace shows what happens', async () => {
  await open('traces');
  await page.click('#main tbody button', 'watched');
  await page.until('its log', () => document.querySelector('.trace-log'));
  await accessible('the log of a trace');
  await page.press('Escape');
});

await rule('an API key is made, shown once and deleted', async () => {
  await open('keys');
  await page.click('#main button', 'New key');
  await page.type('Name', 'exporter');
  await page.click('dialog button', 'Create');
  await page.see('The secret, shown this once');
  await page.click('dialog button', 'I have kept it');
  await page.see('exporter');
  await page.click('#main button', 'Delete exporter');
  await page.click('dialog .dialog-foot button', 'Delete');
  await page.see('exporter is deleted.');
});

await rule('a mistake is told in the form, at its field', async () => {
  await open('bans');
  await page.click('#main .actions button', 'Ban');
  await page.type('Who', '(');
  await page.evaluate(() => {
    const s = document.querySelector('dialog select');
    s.value = 'clientid_re';
  });
  await page.click('dialog button[type="submit"]', 'Ban');
  await page.until('the error', () => document.querySelector('dialog .form-error'));
  page.problems = page.problems.filter((p) => !p.includes('400'));
  await page.press('Escape');
});

await rule('a theme that is chosen stays', async () => {
  await page.click('.top button', 'Theme');
  await page.click('.top button', 'Theme');
  must(await page.evaluate(() => document.documentElement.dataset.theme === 'dark'), 'it is not dark');
  await page.goto(`${base}/#/clients`);
  await settled();
  must(await page.evaluate(() => document.documentElement.dataset.theme === 'dark'), 'it is forgotten');
  await page.click('.top button', 'Theme');
});

await rule('when the token runs out, the password is asked for and the page goes on', async () => {
  await open('clients?q=desk-1');
  await api('logout', 'POST');
  await page.see('Your session has ended');
  await accessible('the dialog of a session that has ended');
  await page.type('Password', password);
  await page.press('Enter');
  await page.until('the end of the dialog', () => !document.querySelector('dialog'));
  must(
    await page.evaluate(() => document.querySelector('#main [data-search]').value === 'desk-1'),
    'the page has forgotten what it showed',
  );
  await settled();
  page.problems = page.problems.filter((p) => !p.includes('401'));
});

await rule('a viewer sees nothing that changes anything', async () => {
  await api('users', 'POST', { username: 'eve', password: 'long enough', role: 'viewer' });
  await page.click('.menu summary');
  await page.click('.menu button', 'Log out');
  await login('eve', 'long enough');
  await page.until('the frame', () => document.querySelector('.frame'));
  for (const path of await page.evaluate(() => [...document.querySelectorAll('.nav a')].map((a) => a.getAttribute('href').slice(2)))) {
    await open(path);
    await pause(100);
    const buttons = await page.evaluate(() =>
      [...document.querySelectorAll('#main button')]
        .map((b) => b.innerText + (b.getAttribute('aria-label') ?? ''))
        .filter((t) => /Delete|Disconnect|Ban|New|Stop|Start|Change/.test(t)),
    );
    must(!buttons.length || path === 'live', `${path} has ${buttons}`);
  }
});

await rule('the reference is readable, and finds an operation', async () => {
  await page.goto(`${base}/reference`);
  await page.see('/api/v5/clients');
  await page.type('Find an operation', 'kickout');
  must(
    await page.evaluate(() => [...document.querySelectorAll('.contents li')].filter((e) => e.getClientRects().length).length === 1),
    'it finds another number of operations than one',
  );
  await page.evaluate(() =>
    document.querySelectorAll('details').forEach((d) => {
      d.open = true;
    }),
  );
  await accessible('the reference');
  await page.size(360, 780);
  must(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'it scrolls sideways at 360 px');
  if (shots) await page.screenshot(join(shots, 'reference-narrow.png'), false);
  await page.size(1280, 860);
  if (shots) await page.screenshot(join(shots, 'reference.png'), false);
});

await rule('nothing was asked of anybody else', async () => {
  const other = page.requests.filter(
    (u) =>
      !u.startsWith(`${base}/`) &&
      !u.startsWith('about:') &&
      !u.startsWith('blob:') &&
      !u.startsWith('data:') &&
      !u.startsWith(`${base.replace('http', 'ws')}/`),
  );
  must(!other.length, other.join(', '));
});

await browser.close();
if (failures.length) {
  console.log(`${failures.length} rules did not hold`);
  process.exit(1);
}
