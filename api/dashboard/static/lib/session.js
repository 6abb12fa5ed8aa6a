// Who is logged in. The token lives as long as the tab, in its session storage.

const key = 'barid.session';
const changed = new EventTarget();
let current = read();

function read() {
  try {
    return JSON.parse(sessionStorage.getItem(key)) || null;
  } catch {
    return null;
  }
}

function write(value) {
  current = value;
  try {
    if (value) sessionStorage.setItem(key, JSON.stringify(value));
    else sessionStorage.removeItem(key);
  } catch {
    /* storage is off: the session ends with the page */
  }
  changed.dispatchEvent(new Event('change'));
}

// The session: {username, token, role, version, until}, or null.
export const session = {
  get value() {
    return current;
  },
  get token() {
    return current?.token;
  },
  get username() {
    return current?.username ?? '';
  },
  get role() {
    return current?.role ?? '';
  },
  get manages() {
    return current?.role === 'administrator';
  },
  get publishes() {
    return current?.role === 'administrator' || current?.role === 'publisher';
  },
  onChange(fn) {
    changed.addEventListener('change', fn);
  },
  end() {
    write(null);
  },
};

// login asks for a token. It throws a Problem.
export async function login(username, password) {
  const answer = await fetch('api/v5/login', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ username, password }),
  }).catch(() => {
    throw new Error('The broker does not answer.');
  });
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) {
    const text =
      answer.status === 429
        ? `Too many tries. Wait ${answer.headers.get('Retry-After') ?? 'a few'} seconds.`
        : answer.status === 401
          ? 'The username or the password is wrong.'
          : (body.message ?? `The broker answered ${answer.status}.`);
    throw new Error(text);
  }
  write({ username, token: body.token, role: body.role, version: body.version, until: Date.now() + body.expires_in * 1000 });
}

// logout ends the token at the broker too.
export async function logout() {
  const token = session.token;
  session.end();
  await fetch('api/v5/logout', { method: 'POST', headers: { Authorization: `Bearer ${token}` } }).catch(() => {});
}
