// Drives Debian's Chromium, without a window, by the DevTools protocol: a page that is looked at, clicked and typed into as
// a person would.

import { spawn } from 'node:child_process';
import { createRequire } from 'node:module';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const { WebSocket } = createRequire(join(process.env.NODE_PATH, 'x.js'))('ws');

export const patience = 15000;
export const pause = (ms) => new Promise((r) => setTimeout(r, ms));

// launch starts a browser.
export async function launch() {
  const profile = await mkdtemp(join(tmpdir(), 'barid-chromium-'));
  const child = spawn(
    process.env.CHROMIUM ?? 'chromium',
    [
      '--headless=new',
      '--no-sandbox',
      '--disable-gpu',
      '--disable-dev-shm-usage',
      '--hide-scrollbars',
      '--no-first-run',
      '--disable-extensions',
      '--disable-background-networking',
      '--disable-component-update',
      '--force-color-profile=srgb',
      '--remote-debugging-port=0',
      `--user-data-dir=${profile}`,
      'about:blank',
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  const address = await new Promise((resolve, reject) => {
    let text = '';
    child.stderr.on('data', (d) => {
      text += d;
      const found = /DevTools listening on (ws:\S+)/.exec(text);
      if (found) resolve(found[1]);
    });
    child.on('error', reject);
    child.on('exit', (code) => reject(new Error(`chromium ended with ${code}: ${text}`)));
  });
  const link = await connect(address);
  return {
    page: () => open(link),
    async close() {
      const gone = new Promise((r) => child.once('exit', r));
      await link.send('Browser.close').catch(() => child.kill());
      await gone;
      await rm(profile, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
    },
  };
}

async function connect(address) {
  const socket = new WebSocket(address, { perMessageDeflate: false });
  await new Promise((resolve, reject) => socket.once('open', resolve).once('error', reject));
  const waiting = new Map();
  const listeners = [];
  let last = 0;
  socket.on('message', (data) => {
    const m = JSON.parse(data);
    if (m.id === undefined) {
      for (const fn of listeners) fn(m);
      return;
    }
    const { resolve, reject } = waiting.get(m.id);
    waiting.delete(m.id);
    if (m.error) reject(new Error(m.error.message));
    else resolve(m.result);
  });
  return {
    on: (fn) => listeners.push(fn),
    send(method, params = {}, sessionId) {
      return new Promise((resolve, reject) => {
        waiting.set(++last, { resolve, reject });
        socket.send(JSON.stringify({ id: last, method, params, sessionId }));
      });
    },
  };
}

async function open(link) {
  const { targetId } = await link.send('Target.createTarget', { url: 'about:blank' });
  const { sessionId } = await link.send('Target.attachToTarget', { targetId, flatten: true });
  const page = new Page((method, params) => link.send(method, params, sessionId));
  link.on((m) => {
    if (m.sessionId === sessionId) page.hear(m);
  });
  for (const domain of ['Page', 'Runtime', 'Log', 'Network']) await page.send(`${domain}.enable`);
  return page;
}

// Page is a tab.
export class Page {
  problems = []; // errors on the console, exceptions, violations of the Content-Security-Policy
  requests = []; // addresses that were asked for
  handlers = {};

  constructor(send) {
    this.send = send;
  }

  hear({ method, params }) {
    this.handlers[method]?.(params);
    if (method === 'Runtime.exceptionThrown')
      this.problems.push(params.exceptionDetails.exception?.description ?? params.exceptionDetails.text);
    if (method === 'Runtime.consoleAPICalled' && ['error', 'warning', 'assert'].includes(params.type))
      this.problems.push(params.args.map((a) => a.value ?? a.description).join(' '));
    if (method === 'Log.entryAdded' && ['error', 'warning'].includes(params.entry.level))
      this.problems.push(`${params.entry.text} ${params.entry.url ?? ''}`);
    if (method === 'Network.requestWillBeSent') this.requests.push(params.request.url);
  }

  // evaluate runs a function in the page.
  async evaluate(fn, ...args) {
    const expression = typeof fn === 'string' ? fn : `(${fn})(...${JSON.stringify(args)})`;
    const { result, exceptionDetails } = await this.send('Runtime.evaluate', {
      expression,
      awaitPromise: true,
      returnByValue: true,
      userGesture: true,
    });
    if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  }

  async goto(url) {
    await this.send('Page.navigate', { url });
    await this.until('the page', () => document.readyState === 'complete');
  }

  // until waits until a function is true in the page.
  async until(what, fn, ...args) {
    const end = Date.now() + patience;
    for (;;) {
      const value = await this.evaluate(fn, ...args).catch(() => false);
      if (value) return value;
      if (Date.now() > end) throw new Error(`waited in vain for ${what}; the page says:\n${await this.text()}`);
      await pause(50);
    }
  }

  text() {
    return this.evaluate(() => document.body.innerText);
  }

  // see waits for text on the page.
  see(text) {
    return this.until(`the text "${text}"`, (t) => document.body.innerText.includes(t), text);
  }

  // unsee waits until it is gone.
  unsee(text) {
    return this.until(`the end of the text "${text}"`, (t) => !document.body.innerText.includes(t), text);
  }

  // click clicks what selector finds, or the one of it that says text.
  async click(selector, text = '') {
    const at = await this.until(
      `${selector} "${text}"`,
      (sel, t) => {
        const el = [...document.querySelectorAll(sel)].find(
          (e) => (e.innerText + (e.getAttribute('aria-label') ?? '')).includes(t) && e.getClientRects().length,
        );
        if (!el || el.disabled) return null;
        el.scrollIntoView({ block: 'center' });
        const r = el.getBoundingClientRect();
        const hit = document.elementFromPoint(r.x + r.width / 2, r.y + r.height / 2);
        if (!hit || !el.contains(hit)) return null; // something lies over it
        return { x: r.x + r.width / 2, y: r.y + r.height / 2 };
      },
      selector,
      text,
    );
    for (const type of ['mouseMoved', 'mousePressed', 'mouseReleased'])
      await this.send('Input.dispatchMouseEvent', { type, ...at, button: type === 'mouseMoved' ? 'none' : 'left', clickCount: 1 });
  }

  // type puts text into the field that a label names.
  async type(label, text) {
    await this.until(
      `the field "${label}"`,
      (name) => {
        const el = [...document.querySelectorAll('input, textarea, select')].find(
          (e) =>
            e.getClientRects().length &&
            (e.getAttribute('aria-label') === name || [...(e.labels ?? [])].some((l) => l.innerText.trim() === name)),
        );
        if (!el) return false;
        el.focus();
        el.select?.();
        return true;
      },
      label,
    );
    await this.send('Input.insertText', { text });
  }

  // press presses a key, such as Tab, Enter, Escape or a letter.
  async press(key, modifiers = 0) {
    const codes = { Tab: 9, Enter: 13, Escape: 27, ArrowDown: 40, ArrowUp: 38, ArrowLeft: 37, ArrowRight: 39, ' ': 32 };
    const text = key === 'Enter' ? '\r' : key.length === 1 && !modifiers ? key : undefined;
    const event = {
      key,
      text,
      modifiers,
      windowsVirtualKeyCode: codes[key] ?? key.toUpperCase().charCodeAt(0),
      code: key.length === 1 && /[a-z]/i.test(key) ? `Key${key.toUpperCase()}` : key,
    };
    await this.send('Input.dispatchKeyEvent', { type: text ? 'keyDown' : 'rawKeyDown', ...event });
    await this.send('Input.dispatchKeyEvent', { type: 'keyUp', ...event });
  }

  // size sets the window; a phone is narrow and touched.
  size(width, height) {
    return this.send('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: 1, mobile: width < 600 });
  }

  // theme is what the system prefers: light or dark.
  async theme(value) {
    await this.send('Emulation.setEmulatedMedia', {
      features: [
        { name: 'prefers-color-scheme', value },
        { name: 'prefers-reduced-motion', value: 'reduce' },
      ],
    });
    await this.evaluate(
      () =>
        new Promise((r) => {
          requestAnimationFrame(() => requestAnimationFrame(r));
        }),
    );
  }

  async screenshot(file, full = true) {
    const { data } = await this.send('Page.captureScreenshot', { format: 'png', captureBeyondViewport: full });
    await writeFile(file, Buffer.from(data, 'base64'));
  }
}
