// Rules of topics: a list of them, and a dialog that changes one.

import { h, replace } from '../lib/dom.js';
import { dialog } from './dialog.js';
import { field } from './form.js';
import { button, iconButton, badge, tag, choice } from './parts.js';

const topicsOf = (r) => r.topics ?? (r.topic === undefined ? [] : [r.topic]);

// ruleList shows rules in their order.
export function ruleList(rules) {
  return h(
    'ol.rules',
    rules.map((r) =>
      h(
        'li.row',
        badge(r.permission, r.permission === 'allow' ? 'ok' : 'danger'),
        h('span', { all: 'publish and subscribe', publish: 'publish', subscribe: 'subscribe' }[r.action] ?? r.action),
        topicsOf(r).length ? topicsOf(r).map(tag) : h('span.quiet', 'every topic'),
        r.qos?.length > 0 && h('span.quiet', `QoS ${r.qos.join(', ')}`),
        r.retain !== undefined &&
          r.retain !== 'all' &&
          h('span.quiet', r.retain === true || r.retain === 'true' ? 'retained only' : 'not retained'),
      ),
    ),
  );
}

// editRules changes rules; save(rules, name) keeps them. of: whose they are is asked for, by this label.
export function editRules(title, rules, save, { of } = {}) {
  return dialog(
    title,
    (close) => {
      const name = of && field({ name: 'of', label: of, required: true, mono: true, autofocus: true });
      let list = rules.map((r) => ({ ...r, topics: topicsOf(r) }));
      if (!list.length) list = [{ permission: 'allow', action: 'all', topics: [] }];
      const rows = h('ol.rules');
      const error = h('div');

      function row(r, i) {
        const topics = h(
          'textarea.input',
          {
            'aria-label': `Topic filters of rule ${i + 1}`,
            rows: 2,
            placeholder: 'sensors/${clientid}/#',
            oninput: (e) => {
              r.topics = e.target.value
                .split('\n')
                .map((l) => l.trim())
                .filter(Boolean);
            },
          },
          r.topics.join('\n'),
        );
        return h(
          'li.rule-edit',
          h(
            'div.row',
            choice(
              `Permission of rule ${i + 1}`,
              [
                ['allow', 'Allow'],
                ['deny', 'Deny'],
              ],
              r.permission,
              (v) => {
                r.permission = v;
              },
            ),
            choice(
              `Action of rule ${i + 1}`,
              [
                ['all', 'publish and subscribe'],
                ['publish', 'publish'],
                ['subscribe', 'subscribe'],
              ],
              r.action,
              (v) => {
                r.action = v;
              },
            ),
            h(
              'span.push.row',
              i > 0 &&
                iconButton('back', `Move rule ${i + 1} up`, {
                  small: true,
                  class: 'up',
                  onclick: () => {
                    list.splice(i - 1, 0, ...list.splice(i, 1));
                    draw();
                  },
                }),
              iconButton('trash', `Delete rule ${i + 1}`, {
                small: true,
                danger: true,
                onclick: () => {
                  list.splice(i, 1);
                  draw();
                },
              }),
            ),
          ),
          topics,
        );
      }
      function draw() {
        replace(rows, list.map(row));
      }
      draw();
      const submit = button('Save', { type: 'submit', primary: true });
      return h(
        'form',
        {
          onsubmit: async (e) => {
            e.preventDefault();
            submit.disabled = true;
            try {
              const out = list.map(({ topic, topics, ...r }) => ({ ...r, ...(topics.length ? { topics } : {}) }));
              await save(out, name?.read());
              close(true);
            } catch (err) {
              submit.disabled = false;
              replace(error, h('p.form-error', { role: 'alert' }, err.message));
            }
          },
        },
        h(
          'div.dialog-body.stack',
          name?.el,
          h(
            'p.quiet',
            'The first rule that fits decides. A topic filter a line; none means every topic. ${clientid} and ${username} stand for the client’s own.',
          ),
          rows,
          h(
            'div.row',
            button('Add a rule', {
              icon: 'plus',
              small: true,
              onclick: () => {
                list.push({ permission: 'allow', action: 'all', topics: [] });
                draw();
              },
            }),
          ),
          error,
        ),
        h('div.dialog-foot', button('Cancel', { onclick: () => close() }), submit),
      );
    },
    { wide: true },
  );
}
