// The pages: what the sidebar lists, and which file draws what. detail: the page of one thing, path/<id>.

export const sections = [
  { name: 'Sessions', pages: ['clients', 'subscriptions'] },
  { name: 'Messages', pages: ['live', 'retained'] },
  { name: 'Access', pages: ['keys', 'people'] },
  { name: 'Operation', pages: ['audit'] },
];

const page = (path, title, icon, keys, more) => ({ path, title, icon, keys, load: () => import(`./pages/${path}.js`), ...more });
const detail = (path, title, file) => ({ path, title, detail: true, load: () => import(`./pages/${file}.js`) });

// keys: g and this letter open it. manage: for administrators only.
export const pages = [
  page('clients', 'Clients', 'clients', 'c'),
  detail('clients', 'Client', 'client'),
  page('subscriptions', 'Subscriptions', 'subscriptions', 's'),
  page('live', 'Live client', 'live', 'l'),
  page('retained', 'Retained messages', 'retained', 'r'),
  page('keys', 'API keys', 'keys', 'k', { manage: true }),
  page('people', 'People', 'people', 'p', { manage: true }),
  page('audit', 'Audit log', 'audit', 'a', { manage: true }),
];

export const byPath = (path) => pages.find((p) => p.path === path && !p.detail);
