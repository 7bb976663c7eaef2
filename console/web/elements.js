// SPDX-License-Identifier: Apache-2.0

// Making elements, and how times are written. All that comes from the registry goes into
// the page as text.

export const byId = id => document.getElementById(id);

export function element(tag, properties = {}, ...children) {
  const { class: names, ...rest } = properties;
  const e = Object.assign(document.createElement(tag), rest);
  if (names) e.className = names;
  e.append(...children.filter(c => c !== null && c !== ''));
  return e;
}

export const badge = (text, kind = '') => element('span', { class: `badge ${kind}` }, text);
export const plural = (n, one) => `${n} ${one}${n === 1 ? '' : 's'}`;

export function time(ms) {
  const date = new Date(ms);
  const clock = date.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false });
  return date.toDateString() === new Date().toDateString() ? clock : `${date.toLocaleDateString([], { year: 'numeric', month: 'short', day: 'numeric' })} ${clock}`;
}

export function ago(ms) {
  const seconds = Math.max(0, Math.round((Date.now() - ms) / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h`;
  return plural(Math.floor(seconds / 86400), 'day');
}

export const since = row => row.started || row.seen;
export const order = new Intl.Collator('en', { numeric: true });

// list is of names and values.
export function list(pairs) {
  return element('dl', { class: 'facts' }, ...pairs.flatMap(([name, value]) => [
    element('dt', {}, name),
    element('dd', {}, ...(Array.isArray(value) ? value : [value || element('span', { class: 'none' }, 'empty')])),
  ]));
}
