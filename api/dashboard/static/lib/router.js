// Addresses after the #: #/clients/abc?tab=queue. A page gets a view of its own, which ends when another is shown.

// parse splits an address.
export function parse(hash) {
  const [path, search = ''] = hash.replace(/^#\/?/, '').split('?');
  return { parts: path.split('/').filter(Boolean).map(decode), query: Object.fromEntries(new URLSearchParams(search)) };
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

// link makes an address: link('clients', id, {tab: 'queue'})
export function link(...parts) {
  const last = parts.at(-1);
  const query = typeof last === 'object' ? parts.pop() : {};
  const search = new URLSearchParams(Object.entries(query).filter(([, v]) => v !== '' && v !== null && v !== undefined)).toString();
  return `#/${parts.map(encodeURIComponent).join('/')}${search ? `?${search}` : ''}`;
}

// go shows another page.
export function go(...parts) {
  location.hash = link(...parts);
}

// View is what a page draws into, for as long as it is shown.
export class View {
  #ended = new AbortController();
  constructor(root, address) {
    this.root = root;
    this.parts = address.parts;
    this.query = address.query;
  }

  get signal() {
    return this.#ended.signal;
  }
  get ended() {
    return this.#ended.signal.aborted;
  }
  end() {
    this.#ended.abort();
  }

  onEnd(fn) {
    this.signal.addEventListener('abort', fn, { once: true });
  }

  // every calls fn now and then, while the page is seen, one call after the other. It returns a function that calls it now.
  every(ms, fn) {
    let timer;
    let running = null;
    const run = async () => {
      clearTimeout(timer);
      if (this.ended) return;
      if (running) return running;
      running = Promise.resolve(document.hidden ? null : fn());
      try {
        await running;
      } catch (err) {
        if (err.name !== 'AbortError') console.debug('refreshing:', err.message);
      }
      running = null;
      if (!this.ended) timer = setTimeout(run, ms);
    };
    const onVisible = () => {
      if (!document.hidden) run();
    };
    document.addEventListener('visibilitychange', onVisible, { signal: this.signal });
    this.onEnd(() => clearTimeout(timer));
    run();
    return run;
  }

  // part is a view within this one, which can end before it does.
  part() {
    const inner = new View(this.root, this);
    this.onEnd(() => inner.end());
    return inner;
  }

  // setQuery keeps what a page shows in the address, without showing the page anew.
  setQuery(changes) {
    Object.assign(this.query, changes);
    history.replaceState(null, '', link(...this.parts, { ...this.query }));
  }
}
