// Makes elements. Text is always text: there is no way to write markup.

// h('p.quiet', {id: 'x', onclick}, 'text', child, [children], null)
export function h(spec, ...rest) {
  const [tag, ...classes] = spec.split('.');
  const el = document.createElement(tag || 'div');
  if (classes.length) el.className = classes.join(' ');
  return fill(el, rest);
}

const SVG = 'http://www.w3.org/2000/svg';

// s makes elements of SVG.
export function s(tag, attributes = {}, ...children) {
  const el = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== null && value !== undefined) el.setAttribute(name, value);
  }
  el.append(...children.flat().filter((c) => c !== null && c !== undefined));
  return el;
}

function fill(el, rest) {
  for (const part of rest.flat(3)) {
    if (part === null || part === undefined || part === false) continue;
    if (part instanceof Node || typeof part !== 'object') el.append(part);
    else set(el, part);
  }
  return el;
}

// set gives an element attributes, properties and listeners.
export function set(el, properties) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined) continue;
    if (name.startsWith('on')) el.addEventListener(name.slice(2), value);
    else if (name === 'class') el.className += ` ${value}`;
    else if (name === 'dataset') Object.assign(el.dataset, value);
    else if (name in el && !name.startsWith('aria') && name !== 'list' && name !== 'form') el[name] = value;
    else if (value !== false) el.setAttribute(name, value === true ? '' : value);
  }
  return el;
}

// replace puts children in the place of those that are there.
export function replace(el, ...children) {
  el.replaceChildren(...children.flat(2).filter((c) => c !== null && c !== undefined && c !== false));
  return el;
}

// focusables are what the Tab key reaches inside an element.
export function focusables(el) {
  return [
    ...el.querySelectorAll(
      'a[href], button:not(:disabled), input:not(:disabled), select:not(:disabled), textarea:not(:disabled), summary, [tabindex="0"]',
    ),
  ];
}

// debounce calls fn once nothing has happened for a moment.
export function debounce(fn, ms = 250) {
  let timer;
  return (...args) => {
    clearTimeout(timer);
    timer = setTimeout(() => fn(...args), ms);
  };
}

let last = 0;

// newId is for labels and what they describe.
export const newId = (prefix = 'id') => `${prefix}-${++last}`;
