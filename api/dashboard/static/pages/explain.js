// Explain: why a client gets a message, or does not.

import { h, replace } from '../lib/dom.js';
import { get } from '../lib/api.js';
import { link } from '../lib/router.js';
import { words, sentence } from '../lib/format.js';
import { fieldset } from '../ui/form.js';
import { head, card, button, badge, bones, failed, icon } from '../ui/parts.js';

const outcomes = {
  delivered: ['yes', 'check', 'Yes, it gets it'],
  waits: ['late', 'restart', 'Yes, but later'],
  maybe: ['late', 'groups', 'Perhaps'],
  not_delivered: ['no', 'close', 'No, it does not'],
};

export async function show(view) {
  const fields = fieldset([
    { name: 'clientid', label: 'Client id of the subscriber', value: view.query.clientid, required: true, mono: true },
    {
      name: 'topic',
      label: 'Topic that is published to',
      value: view.query.topic,
      required: true,
      mono: true,
      placeholder: 'sensors/room-1/temperature',
    },
    {
      name: 'qos',
      label: 'QoS',
      type: 'select',
      options: [
        [0, '0'],
        [1, '1'],
        [2, '2'],
      ],
      value: view.query.qos ?? 1,
      required: true,
    },
    {
      name: 'from_clientid',
      label: 'Client id of the publisher',
      value: view.query.from_clientid,
      mono: true,
      hint: 'Empty: permission to publish is not judged',
    },
  ]);
  const result = h('div.stack', { 'aria-live': 'polite' });
  async function ask() {
    const v = fields.read();
    view.setQuery({ clientid: '', topic: '', qos: '', from_clientid: '', ...v });
    replace(result, h('div.card', bones(4)));
    try {
      draw(result, await get('explain', v, { signal: view.signal }));
    } catch (err) {
      if (err.name !== 'AbortError') replace(result, h('div.card', failed(err)));
    }
  }
  view.root.append(
    head('Explain', {
      about:
        'Would this client get a message on this topic now, and why? The same parts are asked that would handle the message, and nothing is changed.',
    }),
    h(
      'div.stack',
      card(
        'Ask',
        {},
        h(
          'form.stack',
          {
            onsubmit: (e) => {
              e.preventDefault();
              ask();
            },
          },
          fields.el,
          h('div.row', button('Explain', { type: 'submit', primary: true, icon: 'explain' })),
        ),
      ),
      result,
    ),
  );
  if (view.query.clientid && view.query.topic) ask();
}

function draw(el, e) {
  const [kind, name, title] = outcomes[e.outcome];
  replace(
    el,
    h(
      'div.verdict',
      { class: kind },
      h('span.icon', icon(name, 22)),
      h('div', h('h2', title), h('p.wrap', sentence(e.verdict.replace(/^(Yes|No|Perhaps|Maybe)[^:]{0,20}: /, '')))),
    ),
    card('What was looked at', {}, h('ol.steps', e.steps.map(step))),
    e.subscriptions.length > 0 && card('Subscriptions that match', {}, h('ul.subs', e.subscriptions.map(subscription))),
  );
}

function step(s) {
  const bad = s.effect === 'stops';
  return h(
    'li',
    h(
      'span.bullet',
      { class: bad ? 'no' : s.ok ? 'yes' : '', 'aria-hidden': 'true' },
      icon(bad ? 'close' : s.ok ? 'check' : 'explain', 14),
    ),
    h(
      'div.row',
      h('strong', sentence(s.what)),
      s.effect !== 'none' && badge(s.effect, bad ? 'danger' : 'warn'),
      s.reason && badge(words(s.reason)),
    ),
    h('p.quiet.wrap', sentence(s.why)),
    s.rules?.length > 0 &&
      h(
        'ul',
        s.rules.map((r) =>
          h(
            'li.row',
            badge(r.decision, r.decision === 'allow' ? 'ok' : r.decision === 'deny' ? 'danger' : ''),
            h('code.wrap', r.rule),
            h('span.quiet', [r.source, r.where && `, ${r.where}`]),
          ),
        ),
      ),
  );
}

function subscription(s) {
  return h(
    'li',
    h('span.tag', s.topic),
    badge(`QoS ${s.qos}`),
    s.kind !== 'plain' && badge(s.kind, 'accent'),
    s.durable && badge('durable'),
    badge(s.permission, s.permission === 'allow' ? 'ok' : s.permission === 'deny' ? 'danger' : ''),
    s.group && h('span.quiet', `${s.group.ready_cnt} of ${s.group.members_cnt} members ready`),
    s.group?.members?.slice(0, 3).map((m) => h('a', { href: link('clients', m.clientid) }, m.clientid)),
  );
}
