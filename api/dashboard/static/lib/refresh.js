// What lists have in common: ask, show, ask again; keep the page and the filters in the address.

import { get } from './api.js';

// list shows a page of a list of the API and keeps it fresh. It returns {refresh, change(filters)}.
// to() names the list, parameters(query) what to ask; show(data, meta) draws; fail(err, again) says what went wrong.
export function list(view, { to, parameters = () => ({}), show, fail, every = 5000 }) {
  let asked = 0;
  const state = () => ({ page: Number(view.query.page) || 1, limit: Number(view.query.limit) || 50 });
  async function refresh() {
    const mine = ++asked;
    try {
      const answer = await get(to, { ...parameters(view.query), ...state() }, { signal: view.signal });
      if (mine !== asked || view.ended) return;
      if (answer.meta && answer.data.length === 0 && state().page > 1 && answer.meta.count > 0) {
        view.setQuery({ page: '' });
        return refresh();
      }
      show(answer.data, answer.meta);
    } catch (err) {
      if (err.name === 'AbortError' || mine !== asked) return;
      fail(err, refresh);
    }
  }
  view.every(every, refresh);
  return {
    refresh,
    change(filters) {
      view.setQuery({ page: '', ...filters });
      return refresh();
    },
  };
}
