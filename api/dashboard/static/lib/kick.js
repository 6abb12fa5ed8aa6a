// What can be done to a client, wherever it is shown.

import { h } from './dom.js';
import { path, remove, post } from './api.js';
import { ask } from '../ui/dialog.js';
import { done } from '../ui/toast.js';

const strong = (text) => h('strong.wrap', text);

// disconnect ends a client's connection and session, after asking.
export function disconnect(id) {
  return ask(
    'Disconnect the client?',
    ['The connection of ', strong(id), ' ends, and its session with everything that waits for it. It can connect again at once.'],
    'Disconnect',
    async () => {
      await remove(path`clients/${id}`);
      done(`${id} is disconnected.`);
    },
  );
}

// disconnectMany does the same with many.
export function disconnectMany(ids) {
  return ask(
    `Disconnect ${ids.length} clients?`,
    'Their connections end, and their sessions with everything that waits for them. They can connect again at once.',
    `Disconnect ${ids.length}`,
    async () => {
      await post('clients/kickout/bulk', ids);
      done(`${ids.length} clients are disconnected.`);
    },
  );
}
