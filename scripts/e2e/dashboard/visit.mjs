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

// confirm presses the button of the dialog that asks, and waits until it is gone.
const confirm = async (verb) => {
  await page.click('dialog .dialog-foot button', verb);
  await page.until('the end of the dialog', () => !document.querySelector('dialog'));
};

// submit sends the form of the dialog, and waits until it is gone.
const submit = async (verb) => {
  await page.click('dialog button[type="submit"]', verb);
  await page.until('the end of the form', () => !document.querySelector('dialog'));
};

const choose = (label, value) =>
  page.evaluate(
    (l, v) => {
      const s = [...document.querySelectorAll('dialog select')].find((e) => [...e.labels].some((x) => x.innerText.trim() === l));
      s.value = v;
      s.dispatchEvent(new Event('change', { bubbles: true }));
    },
    label,
    value,
  );

await rule('a ban is made and ended', async () => {
  await open('bans');
  await page.click('#main .actions button', 'Ban');
  await page.type('Who', 'intruder-7');
  await submit('Ban');
  await page.see('intruder-7');
  must(
    (await api('banned?as=clientid')).value.data.some((b) => b.who === 'intruder-7'),
    'the broker does not know it',
  );
  await page.click('#main button', 'End the ban of intruder-7');
  await confirm('End the ban');
  await page.see('The ban of intruder-7 is over.');
  must(!(await api('banned?as=clientid')).value.data.some((b) => b.who === 'intruder-7'), 'it is still there');
});

await rule('a user of MQTT is made, changed and deleted', async () => {
  await open('rules');
  await page.click('#main button', 'New user');
  await page.type('Username', 'carol');
  await page.type('Password', 'long enough');
  await submit('Add');
  await page.see('carol');
  await page.click('#main button', 'Change carol');
  await page.type('Roles', 'writer');
  await submit('Save');
  await page.see('carol is changed.');
  await page.see('writer');
  await page.click('#main button', 'Delete carol');
  await confirm('Delete');
  await page.until('the end of it', () => ![...document.querySelectorAll('#main tbody')].some((e) => e.innerText.includes('carol')));
});

await rule('rules are made, changed and deleted', async () => {
  await open('rules?tab=clients');
  await page.click('#main button', 'New rules');
  await page.type('Client id', 'pump-9');
  await page.type('Topic filters of rule 1', 'pumps/9/#');
  await accessible('the dialog of rules');
  await page.click('dialog .dialog-foot button[type="submit"], dialog .dialog-foot .primary');
  await page.until('the end of the dialog', () => !document.querySelector('dialog'));
  await page.see('pumps/9/#');
  await page.click('#main button', 'Delete the rules of pump-9');
  await confirm('Delete');
  await page.until('the end of them', () => ![...document.querySelectorAll('#main tbody')].some((e) => e.innerText.includes('pump-9')));
});

await rule('a stream is declared, changed and deleted', async () => {
  await open('streams');
  await page.click('#main button', 'New stream');
  await page.type('Name', 'orders');
  await page.type('Topic filters', 'orders/#');
  await submit('Declare');
  await page.see('orders/#');
  await page.click('#main button', 'Change orders');
  await page.type('Keep at most (bytes)', '1000000');
  await submit('Save');
  await page.see('orders is changed.');
  must((await api('streams/orders')).value.keep_bytes === 1000000, 'the broker does not know it');
  await page.click('#main button', 'Delete orders');
  await confirm('Delete');
  must((await api('streams/orders')).status === 404, 'it is still there');
  page.problems = page.problems.filter((p) => !p.includes('404'));
});

await rule('a consumer is made, looked at and deleted; a secret is shown once', async () => {
  await open('consumers');
  await page.click('#main button', 'New consumer');
  await page.type('Name', 'hooks');
  await page.type('Topic filters', 'hooks/#');
  await page.type('Push to URL', 'http://127.0.0.1:9/');
  await accessible('the form of a consumer');
  await page.click('dialog button[type="submit"]', 'Create');
  await page.see('The secret, shown this once');
  must(await page.evaluate(() => /[A-Z0-9]{40}/.test(document.querySelector('dialog').innerText)), 'there is no secret');
  await accessible('the secret of a consumer');
  await page.click('dialog button', 'I have kept it');
  await page.click('#main tbody a', 'hooks');
  await page.see('Where it is');
  await page.click('#main button', 'Delete');
  await confirm('Delete');
  await page.until('the list', () => document.querySelector('#main h1')?.innerText === 'Consumers');
  must((await api('consumers/hooks')).status === 404, 'it is still there');
  page.problems = page.problems.filter((p) => !p.includes('404'));
});

await rule('a trace is started, stopped and deleted', async () => {
  await open('traces');
  await page.click('#main button', 'New trace');
  await page.type('Name', 'by-topic');
  await choose('Of', 'topic');
  await page.type('Which', 'measured/#');
  await submit('Start');
  await page.see('by-topic');
  await page.click('#main button', 'Stop by-topic');
  await page.see('by-topic is stopped.');
  await page.click('#main button', 'Delete by-topic');
  await confirm('Delete');
  must(!(await api('trace')).value.some((t) => t.name === 'by-topic'), 'it is still there');
});

await rule('somebody who may log in is added, changed and deleted', async () => {
  await open('people');
  await page.click('#main button', 'New person');
  await page.type('Username', 'mallory');
  await page.type('Password', 'long enough');
  await submit('Add');
  await page.see('mallory');
  await page.click('#main button', 'Change mallory');
  await page.type('About', 'of the night shift');
  await submit('Save');
  await page.see('of the night shift');
  await page.click('#main button', 'Delete mallory');
  await confirm('Delete');
  must(!(await api('users')).value.some((u) => u.username === 'mallory'), 'they are still there');
});

await rule('why a client does not get a message is asked and answered', async () => {
  await open('explain');
  await page.type('Client id of the subscriber', 'nobody-7');
  await page.type('Topic that is published to', 'measured/1');
  await page.click('#main button[type="submit"]', 'Explain');
  await page.until(
    'the answer',
    () => /nobody-7/.test(document.querySelector('#main').innerText) && document.querySelector('#main h2, #main .verdict'),
  );
  await accessible('an explanation');
});

await rule('what happens is told to those who cannot see it', async () => {
  must(await page.evaluate(() => document.querySelector('[aria-live="polite"], [role="status"]') !== null), 'no part of the page is live');
  await open('bans');
  await page.click('#main .actions button', 'Ban');
  must(await page.evaluate(() => document.querySelector('dialog').contains(document.activeElement)), 'the focus is not in the dialog');
  await page.press('Escape');
  await page.until('the end of the dialog', () => !document.querySelector('dialog'));
  must(
    await page.evaluate(() => document.activeElement.innerText?.includes('Ban')),
    'the focus does not come back to the button that opened the dialog',
  );
  await open('clients');
  must(
    await page.evaluate(() => document.querySelector('#main').contains(document.activeElement)),
    'a page that is opened does not take the focus',
  );
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
