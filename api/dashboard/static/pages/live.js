// A live client of MQTT 5, over WebSocket at the address that this page came from.

import { h, replace } from '../lib/dom.js';
import { number } from '../lib/format.js';
import { Client } from '../mqtt/client.js';
import { meaning } from '../mqtt/codec.js';
import { utf8, text } from '../mqtt/bytes.js';
import { messageLog } from '../ui/messages.js';
import { fieldset } from '../ui/form.js';
import { fromBase64, hexDump } from '../ui/payload.js';
import { done, wrong } from '../ui/toast.js';
import { head, card, button, iconButton, badge, dot, empty, search } from '../ui/parts.js';

// The connection outlives the page: it goes on while others are looked at.
const here = {
  client: null,
  id: `dashboard-${Math.random().toString(36).slice(2, 8)}`,
  subscriptions: new Map(),
  listeners: new Set(),
  log: [],
};

const address = () => new URL('mqtt', location.href.replace(/^http/, 'ws')).href.split('#')[0];

export async function show(view) {
  const state = h('div.row', { role: 'status' });
  const log = messageLog({
    none: () => empty('No messages yet', 'Connect and subscribe; what comes is shown here, newest first.', { icon: 'live' }),
  });
  for (const m of [...here.log].reverse()) log.add(m);
  let paused = false;
  let missed = 0;
  const pauseButton = button('Pause', {
    small: true,
    onclick: () => {
      paused = !paused;
      pauseButton.textContent = paused ? 'Go on' : 'Pause';
      if (!paused) {
        log.clear();
        for (const m of [...here.log].reverse()) log.add(m);
        missed = 0;
      }
    },
  });
  const heard = (m) => {
    if (paused) pauseButton.textContent = `Go on (${number(++missed)})`;
    else log.add(m);
  };
  here.listeners.add(heard);
  view.onEnd(() => here.listeners.delete(heard));

  const connection = h('div');
  const subs = h('ul.subs');
  const publishForm = publisher();
  const subscribeForm = subscriber(() => drawSubscriptions());

  function drawSubscriptions() {
    replace(
      subs,
      [...here.subscriptions].map(([filter, qos]) =>
        h(
          'li',
          h('span.tag', filter),
          badge(`QoS ${qos}`),
          iconButton('close', `Unsubscribe from ${filter}`, {
            small: true,
            onclick: async () => {
              await here.client.unsubscribe([filter]).catch(wrong);
              here.subscriptions.delete(filter);
              drawSubscriptions();
            },
          }),
        ),
      ),
    );
    if (!here.subscriptions.size) replace(subs, h('li.quiet', 'Not subscribed to anything.'));
  }

  function draw() {
    const on = here.client?.connected;
    replace(state, dot(on ? 'ok' : ''), on ? h('span', 'Connected as ', h('strong.wrap', here.id)) : 'Not connected');
    replace(
      connection,
      on ? h('div.stack', state, button('Disconnect', { icon: 'close', onclick: () => here.client.end() })) : connector(state),
    );
    for (const form of [subscribeForm, publishForm]) form.toggle(on);
    drawSubscriptions();
  }
  here.changed = draw;
  view.onEnd(() => {
    here.changed = null;
  });

  view.root.append(
    head('Live client', {
      about: [
        'A client in this page: subscribe to see messages as they come, publish to try something. It speaks MQTT 5 at ',
        h('code.wrap', address()),
        ' and stays connected while you look at other pages.',
      ],
    }),
    h(
      'div.live',
      h(
        'div.stack',
        card('Connection', {}, connection),
        card('Subscribe', {}, h('div.stack', subscribeForm.el, subs)),
        card('Publish', {}, publishForm.el),
      ),
      card(
        'Messages',
        {
          flush: true,
          actions: [
            pauseButton,
            button('Clear', {
              small: true,
              onclick: () => {
                here.log = [];
                log.clear();
              },
            }),
          ],
        },
        h('div.body', search('A part of the topic or of the payload', '', log.filter)),
        log.el,
      ),
    ),
  );
  draw();
}

function connector(state) {
  const fields = fieldset([
    { name: 'clientId', label: 'Client id', value: here.id, mono: true, wide: true },
    { name: 'username', label: 'Username', hint: 'As a device would; empty: none' },
    { name: 'password', label: 'Password', type: 'password', autocomplete: 'off' },
  ]);
  const submit = button('Connect', { type: 'submit', primary: true });
  return h(
    'form.stack',
    {
      onsubmit: async (e) => {
        e.preventDefault();
        submit.disabled = true;
        const v = fields.read();
        try {
          await connect(v);
        } catch (err) {
          wrong(new Error(`Not connected: ${err.message}.`));
          submit.disabled = false;
        }
      },
    },
    state,
    fields.el,
    h('div.row', submit),
  );
}

async function connect({ clientId = '', username, password }) {
  const client = new Client(address());
  client.addEventListener('message', (e) => arrived(e.detail));
  client.addEventListener('close', (e) => {
    if (here.client !== client) return;
    here.client = null;
    here.subscriptions.clear();
    if (e.detail !== 'disconnected') wrong(new Error(`The live client's connection ended: ${e.detail}.`));
    here.changed?.();
  });
  const ack = await client.connect({ clientId, username, password, keepAlive: 60 });
  here.client = client;
  here.id = ack.properties.assignedClientId ?? clientId;
  here.changed?.();
}

function arrived(p) {
  keep({ topic: p.topic, payload: p.payload, qos: p.qos, retain: p.retain, at: Date.now(), details: described(p.properties) });
}

function keep(m) {
  here.log.unshift(m);
  if (here.log.length > 500) here.log.pop();
  for (const fn of here.listeners) fn(m);
}

function described(p) {
  return [
    ['Content type', p.contentType],
    ['Response topic', p.responseTopic],
    ['Correlation data', p.correlationData && (text(p.correlationData) ?? hexDump(p.correlationData))],
    ['Expires in', p.messageExpiry !== undefined && `${number(p.messageExpiry)} s`],
    ['Subscription identifier', p.subscriptionId?.join(', ')],
    ...(p.userProperties ?? []).map(([k, v]) => [k, v]),
  ].filter(([, v]) => v);
}

const qualities = [
  [0, 'QoS 0, at most once'],
  [1, 'QoS 1, at least once'],
  [2, 'QoS 2, exactly once'],
];

function submitting(fields, verb, icon, fn) {
  const submit = button(verb, { type: 'submit', primary: true, icon });
  const el = h(
    'form.stack',
    {
      onsubmit: async (e) => {
        e.preventDefault();
        try {
          await fn(fields.read());
        } catch (err) {
          wrong(err);
        }
      },
    },
    fields.el,
    h('div.row', submit),
  );
  return {
    el,
    toggle: (on) => {
      submit.disabled = !on;
      submit.title = on ? '' : 'Connect first';
    },
  };
}

function subscriber(changed) {
  const fields = fieldset([
    { name: 'filter', label: 'Topic filter', value: '#', required: true, mono: true, wide: true },
    { name: 'qos', label: 'Highest QoS', type: 'select', options: qualities, value: 1, required: true, wide: true },
  ]);
  return submitting(fields, 'Subscribe', 'plus', async ({ filter, qos }) => {
    const [code] = await here.client.subscribe([{ filter, qos: Number(qos) }]);
    if (code >= 0x80) throw new Error(`${filter} is refused: ${meaning(code)}.`);
    here.subscriptions.set(filter, code);
    changed();
  });
}

function publisher() {
  const fields = fieldset([
    { name: 'topic', label: 'Topic', required: true, mono: true, wide: true, placeholder: 'test/hello' },
    { name: 'payload', label: 'Payload', type: 'area', keep: true, wide: true },
    { name: 'qos', label: 'QoS', type: 'select', options: qualities, value: 1, required: true },
    {
      name: 'kind',
      label: 'Payload is',
      type: 'select',
      options: [
        ['text', 'text'],
        ['base64', 'base64'],
      ],
      value: 'text',
      required: true,
    },
    { name: 'retain', label: 'Retain', type: 'check' },
  ]);
  const more = fieldset([
    { name: 'contentType', label: 'Content type' },
    { name: 'messageExpiry', label: 'Expires in (seconds)', type: 'number', min: 0 },
    { name: 'responseTopic', label: 'Response topic', mono: true },
    { name: 'correlation', label: 'Correlation data' },
    { name: 'user', label: 'User properties', type: 'lines', rows: 2, hint: 'name: value, one a line', wide: true },
  ]);
  const form = submitting(
    {
      el: h('div.stack', fields.el, h('details', h('summary', 'Properties'), more.el)),
      read: () => ({ ...fields.read(), more: more.read() }),
    },
    'Publish',
    'send',
    async (v) => {
      const properties = {
        contentType: v.more.contentType,
        messageExpiry: v.more.messageExpiry,
        responseTopic: v.more.responseTopic,
        correlationData: v.more.correlation && utf8(v.more.correlation),
        userProperties: v.more.user.map((l) => l.split(/:\s*(.*)/s)).map(([k, value = '']) => [k.trim(), value]),
      };
      if (!properties.userProperties.length) delete properties.userProperties;
      const payload = v.kind === 'base64' ? decoded(v.payload) : utf8(v.payload ?? '');
      const qos = Number(v.qos);
      const { code } = await here.client.publish({ topic: v.topic, payload, qos, retain: v.retain, properties });
      if (code >= 0x80) throw new Error(`The broker refused the message: ${meaning(code)}.`);
      keep({ topic: v.topic, payload, qos, retain: v.retain, out: true, at: Date.now(), details: described(properties) });
      done(code === 0x10 ? 'Published. Nobody subscribes to that topic.' : qos > 0 ? 'Published and acknowledged.' : 'Published.');
    },
  );
  return form;
}

function decoded(payload) {
  try {
    return fromBase64(payload ?? '');
  } catch {
    throw new Error('The payload is not base64.');
  }
}
