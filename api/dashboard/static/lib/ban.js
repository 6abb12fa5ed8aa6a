// Banning, from wherever somebody is shown.

import { post } from './api.js';
import { formDialog } from '../ui/form.js';
import { done } from '../ui/toast.js';

export const kinds = [
  ['clientid', 'Client id'],
  ['username', 'Username'],
  ['peerhost', 'IP address'],
  ['peerhost_net', 'Network'],
  ['clientid_re', 'Client ids by pattern'],
  ['username_re', 'Usernames by pattern'],
];

const lengths = [
  ['900', '15 minutes'],
  ['3600', '1 hour'],
  ['86400', '1 day'],
  ['604800', '7 days'],
  ['', 'For good'],
];

// ban asks who is to be kept out, and why. It returns whether somebody is.
export function ban({ as = 'clientid', who = '' } = {}) {
  return formDialog(
    'Ban',
    [
      { name: 'as', label: 'Ban by', type: 'select', options: kinds, value: as, required: true },
      {
        name: 'who',
        label: 'Who',
        value: who,
        required: true,
        mono: true,
        hint: 'A network as 10.0.0.0/8; a pattern is a regular expression',
        autofocus: !who,
      },
      { name: 'for', label: 'For', type: 'select', options: lengths, value: '3600' },
      { name: 'reason', label: 'Reason', hint: 'For whoever looks at this later' },
    ],
    'Ban',
    async ({ for: length, ...v }) => {
      await post('banned', { ...v, until: length ? Math.floor(Date.now() / 1000) + Number(length) : 'infinity' });
      done(`${v.who} is banned.`);
    },
    { danger: true, note: 'Who is banned cannot connect, and is disconnected now.' },
  );
}
