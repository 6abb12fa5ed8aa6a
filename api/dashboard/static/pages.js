// The pages: what the sidebar lists, and which file draws what. detail: the page of one thing, path/<id>.

export const sections = [
  { name: null, pages: ['overview'] },
  { name: 'Sessions', pages: ['clients', 'subscriptions', 'groups'] },
  { name: 'Messages', pages: ['live', 'retained', 'streams', 'consumers'] },
  { name: 'Access', pages: ['rules', 'bans', 'keys', 'people'] },
  { name: 'Find out', pages: ['explain', 'happened', 'traces'] },
  { name: 'Operation', pages: ['listeners', 'alarms', 'config', 'audit'] },
];

const page = (path, title, icon, keys, more) => ({ path, title, icon, keys, load: () => import(`./pages/${path}.js`), ...more });
const detail = (path, title, file) => ({ path, title, detail: true, load: () => import(`./pages/${file}.js`) });

// keys: g and this letter open it. manage: for administrators only.
export const pages = [
  page('overview', 'Overview', 'overview', 'o'),
  page('clients', 'Clients', 'clients', 'c'),
  detail('clients', 'Client', 'client'),
  page('subscriptions', 'Subscriptions', 'subscriptions', 's'),
  page('groups', 'Shared groups', 'groups', 'h'),
  page('live', 'Live client', 'live', 'l'),
  page('retained', 'Retained messages', 'retained', 'r'),
  page('streams', 'Streams', 'streams', 't'),
  detail('streams', 'Stream', 'stream'),
  page('history', 'History', 'streams', 'y'),
  page('consumers', 'Consumers', 'consumers', 'n'),
  detail('consumers', 'Consumer', 'consumer'),
  page('rules', 'Users and rules', 'rules', 'u'),
  page('bans', 'Bans', 'bans', 'b'),
  page('keys', 'API keys', 'keys', 'k', { manage: true }),
  page('people', 'People', 'people', 'p', { manage: true }),
  page('listeners', 'Listeners', 'listeners', 'i'),
  page('alarms', 'Alarms', 'alarms', 'm'),
  page('explain', 'Explain', 'explain', 'e'),
  page('happened', 'What happened', 'warn', 'w'),
  page('traces', 'Traces', 'traces', 'x', { manage: true }),
  page('config', 'Configuration', 'config', 'f', { manage: true }),
  page('audit', 'Audit log', 'audit', 'a', { manage: true }),
];

export const byPath = (path) => pages.find((p) => p.path === path && !p.detail);
