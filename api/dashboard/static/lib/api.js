// Requests to the API. A token that has run out asks for the password once more, and the request goes on.

import { session } from './session.js';

const base = 'api/v5';

// Problem is an answer that says why there is no other. status 0: the broker does not answer.
export class Problem extends Error {
  constructor(status, code, message) {
    super(message);
    this.name = 'Problem';
    this.status = status;
    this.code = code;
  }
}

export const events = new EventTarget(); // 'reach' with detail true or false: does the broker answer?

let askAgain = null; // asks for the password when the token has run out; set by the frame

export function onExpiry(fn) {
  askAgain = fn;
}

// query writes parameters; what is empty is left out.
export function query(parameters = {}) {
  const q = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (Array.isArray(value)) value.forEach((v) => q.append(name, v));
    else if (value !== undefined && value !== null && value !== '') q.set(name, value);
  }
  const text = q.toString();
  return text ? `?${text}` : '';
}

// path escapes the parts of a path: path`clients/${id}`
export const path = (strings, ...values) => strings.reduce((all, text, i) => all + encodeURIComponent(values[i - 1]) + text);

let reachable = true;

function reach(answers) {
  if (answers !== reachable) {
    reachable = answers;
    events.dispatchEvent(new CustomEvent('reach', { detail: answers }));
  }
}

async function send(method, to, { body, signal, accept } = {}) {
  const headers = { Authorization: `Bearer ${session.token}`, Accept: accept ?? 'application/json' };
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  try {
    const answer = await fetch(`${base}/${to}`, { method, headers, signal, body: body === undefined ? undefined : JSON.stringify(body) });
    reach(true);
    return answer;
  } catch (err) {
    if (err.name === 'AbortError') throw err;
    reach(false);
    throw new Problem(0, 'UNREACHABLE', 'The broker does not answer.');
  }
}

// request returns the answer's Response, which is a good one.
export async function request(method, to, options = {}) {
  let answer = await send(method, to, options);
  if (answer.status === 401 && askAgain) {
    await askAgain();
    answer = await send(method, to, options);
  }
  if (answer.ok) return answer;
  const text = await answer.text();
  let said = {};
  try {
    said = JSON.parse(text);
  } catch {
    /* not ours: the status has to do */
  }
  throw new Problem(answer.status, said.code ?? '', said.message ?? (text.trim().slice(0, 300) || `The broker answered ${answer.status}.`));
}

async function value(method, to, options) {
  const answer = await request(method, to, options);
  if (answer.status === 204) return null;
  const text = await answer.text();
  return text ? JSON.parse(text) : null;
}

export const get = (to, parameters, options) => value('GET', to + query(parameters), options);
export const post = (to, body, options) => value('POST', to, { ...options, body });
export const put = (to, body, options) => value('PUT', to, { ...options, body });
export const remove = (to, options) => value('DELETE', to, options);

// all reads every page of a list, up to a limit.
export async function all(to, parameters = {}, most = 10000, options) {
  const page = await get(to, { ...parameters, page: 1, limit: most }, options);
  return { data: page.data, count: page.meta?.count ?? page.data.length, more: page.meta?.hasnext ?? false };
}

// download saves what the API answers as a file.
export async function download(to, name) {
  const answer = await request('GET', to, { accept: '*/*' });
  const url = URL.createObjectURL(await answer.blob());
  const a = document.createElement('a');
  a.href = url;
  a.download = name;
  a.click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}
