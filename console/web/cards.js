// SPDX-License-Identifier: Apache-2.0

// A card is a group (a service, an application, all rules) with its tables. A closed one
// has none, and of a long table only those rows are made that can be seen.

import { ago, element, plural, since, time } from './elements.js';
import { badgesOf, isWide, kinds } from './rows.js';
import { historyButton } from './history.js';

const fadeTime = 1500; // how long what is gone stays to be seen, in ms
const longTable = 100; // rows; longer ones are made in part
const beside = 15; // rows that are made above and below those to be seen

export const groups = new Map(); // kind/name → {kind, data, card, tables: key → {table, body, rows: id → {data, tr, when}}}
export const folded = new Map(); // kind/name → whether the user closed it
let open = () => {}; // shows a row in full

export const onOpen = f => { open = f; };
export const idOf = (kind, name) => `${kind}/${name}`;
export const ofKind = kind => [...groups.values()].filter(g => g.kind === kind);

function makeRow(group, category, data) {
  const { first, rest } = category.cells(data);
  const button = element('button', { type: 'button', class: 'open' }, ...first);
  button.setAttribute('aria-haspopup', 'dialog');
  const at = since(data);
  const when = at > 0 ? element('time', { dateTime: new Date(at).toISOString(), title: `${data.started ? 'Started' : 'Seen here since'} ${time(at)}` }, ago(at)) : null;
  const tr = element('tr', {},
    element('th', { scope: 'row' }, button),
    ...rest.map((children, i) => element('td', { colSpan: isWide(category, i + 1) ? 2 : 1 }, ...children)),
    element('td', {}, when));
  tr.classList.toggle('disabled', Boolean(data.disabled));
  tr.dataset.id = data.id;
  tr.addEventListener('click', () => {
    if (!getSelection().toString()) open(group.kind, group.data.name, category.key, data.id);
  });
  return { data, tr, when };
}

function makeGroup(kind, name) {
  const dot = kind === 'service' ? name.lastIndexOf('.') + 1 : 0;
  const heading = element('h2', {},
    element('span', { class: 'package' }, name.slice(0, dot)),
    element('span', { class: 'name' }, name.slice(dot) || '(no name)'));
  const badges = element('span', { class: 'badges' });
  const tally = element('span', { class: 'tally' });
  const summary = element('summary', {}, heading, badges, tally);
  const card = element('details', { class: 'service' }, summary, kind === 'rules' ? null : historyButton(kind, name));
  card.dataset.kind = kind;
  card.dataset[kind] = name;
  const group = { kind, data: null, card, badges, tally, tables: new Map() };
  summary.addEventListener('click', () => folded.set(idOf(kind, name), card.open));
  card.addEventListener('toggle', () => renderTables(group, false));
  return group;
}

function makeTable(category) {
  const columns = element('colgroup');
  category.columns.forEach((_, i) => columns.append(element('col', { class: `c${i + 1}` })));
  const head = element('tr', {}, ...category.columns.flatMap((c, i) => c === null ? []
    : c === '' ? [element('td')]
      : [element('th', { scope: 'col', colSpan: isWide(category, i) ? 2 : 1 }, element('span', {}, c))]));
  const body = element('tbody');
  const table = element('table', {}, element('caption', {}, category.title), columns, element('thead', {}, head), body);
  table.dataset.category = category.key;
  return { table, body, rows: new Map(), above: null, below: null, height: 37 };
}

// showGroup takes what the console tells of a group.
export function showGroup(kind, data, animate) {
  const id = idOf(kind, data.name);
  let group = groups.get(id);
  const isNew = !group;
  if (isNew) {
    group = makeGroup(kind, data.name);
    groups.set(id, group);
    if (animate) light(group.card);
  }
  group.data = data;
  group.text = null;
  group.badges.replaceChildren(...badgesOf(kind, data));
  group.tally.textContent = kinds[kind].categories.filter(c => data[c.key].length).map(c => plural(data[c.key].length, c.one)).join(' · ');
  renderTables(group, animate && !isNew);
}

// renderTables makes the tables of a card that is open, and no others.
export function renderTables(group, animate) {
  if (!group.card.open || group.card.hidden) {
    for (const { table } of group.tables.values()) table.remove();
    group.tables.clear();
    return;
  }
  for (const category of kinds[group.kind].categories) renderRows(group, category, group.data[category.key], animate);
}

function renderRows(group, category, list, animate) {
  let table = group.tables.get(category.key);
  if (!table) {
    if (!list.length) return;
    table = makeTable(category);
    group.tables.set(category.key, table);
    const categories = kinds[group.kind].categories;
    const later = categories.slice(categories.indexOf(category) + 1).map(c => group.tables.get(c.key)?.table).find(Boolean);
    group.card.insertBefore(table.table, later ?? null);
  }
  const [first, last] = visibleRows(table, list.length);
  const shown = list.slice(first, last);
  const isPart = shown.length < list.length;
  removeRows(group, category, table, new Set(shown.map(r => r.id)), isPart ? new Set(list.map(r => r.id)) : null);
  let before = table.above ? table.above.nextElementSibling : table.body.firstElementChild;
  for (const data of shown) {
    while (before?.classList.contains('gone')) before = before.nextElementSibling;
    let row = table.rows.get(data.id);
    if (!row || JSON.stringify(row.data) !== JSON.stringify(data)) {
      const isNew = !row;
      const made = makeRow(group, category, data);
      const focused = row?.tr.contains(document.activeElement);
      if (before === row?.tr) before = before?.nextElementSibling ?? null;
      row?.tr.remove();
      row = made;
      table.rows.set(data.id, row);
      table.body.insertBefore(row.tr, before);
      if (focused) row.tr.querySelector('button').focus();
      if (animate && !(isNew && isPart)) light(row.tr);
    } else if (row.tr === before) {
      before = before.nextElementSibling;
    } else {
      table.body.insertBefore(row.tr, before);
    }
  }
  space(table, isPart, first, last, list.length, shown);
}

// removeRows removes those that are not shown. What is gone fades, but for what is only
// out of sight.
function removeRows(group, category, table, shown, known) {
  for (const [id, row] of table.rows) {
    if (shown.has(id)) continue;
    table.rows.delete(id);
    if (known?.has(id)) {
      row.tr.remove();
      continue;
    }
    fade(row.tr, () => {
      if (table.rows.size || group.tables.get(category.key) !== table) return;
      table.table.remove();
      group.tables.delete(category.key);
    });
  }
}

// visibleRows are those of a table that are to be made.
function visibleRows(table, count) {
  if (count <= longTable) return [0, count];
  const top = table.body.getBoundingClientRect().top;
  const rows = Math.ceil(innerHeight / table.height) + 2 * beside;
  const first = Math.min(Math.max(0, Math.floor(-top / table.height) - beside), count - rows);
  return [Math.max(0, first), Math.min(count, Math.max(0, first) + rows)];
}

// space has a table that is made in part be as high as all of it would be.
function space(table, isPart, first, last, count, shown) {
  if (!isPart) {
    table.above?.remove();
    table.below?.remove();
    table.above = table.below = null;
    table.table.removeAttribute('aria-rowcount');
    return;
  }
  if (!table.above) {
    table.above = element('tr', { class: 'space' });
    table.below = element('tr', { class: 'space' });
    table.above.setAttribute('aria-hidden', 'true');
    table.below.setAttribute('aria-hidden', 'true');
    table.body.prepend(table.above);
  }
  table.body.append(table.below);
  table.table.setAttribute('aria-rowcount', count + 1);
  shown.forEach((data, i) => table.rows.get(data.id).tr.setAttribute('aria-rowindex', first + i + 2));
  const measured = table.rows.get(shown[0].id).tr.getBoundingClientRect().height;
  if (measured > 0) table.height = measured;
  table.above.style.height = `${first * table.height}px`;
  table.below.style.height = `${(count - last) * table.height}px`;
}

// renderLong makes other rows of long tables, as the page was scrolled.
export function renderLong() {
  for (const group of groups.values()) {
    if (!group.card.open || group.card.hidden) continue;
    for (const category of kinds[group.kind].categories) {
      if (group.data[category.key].length > longTable) renderRows(group, category, group.data[category.key], false);
    }
  }
}

function light(e) {
  e.classList.add('come');
  e.addEventListener('animationend', () => e.classList.remove('come'), { once: true });
}

// fade leaves to be seen for a moment what is gone.
function fade(e, done) {
  e.classList.add('gone');
  e.inert = true;
  setTimeout(() => { e.remove(); done?.(); }, fadeTime);
}

export function removeGroup(kind, name) {
  const group = groups.get(idOf(kind, name));
  if (!group) return;
  groups.delete(idOf(kind, name));
  fade(group.card);
}

// textOf is what the filter looks at.
export function textOf(group) {
  group.text ??= JSON.stringify([group.data.name, ...kinds[group.kind].categories.flatMap(c => group.data[c.key].flatMap(
    row => [row.protocol, row.address, row.application, row.group, row.version, row.rule, row.revision, row.tag, ...row.params.map(p => `${p.name}=${p.value}`)]))]).toLowerCase();
  return group.text;
}

let waiting = false;
document.addEventListener('scroll', () => {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => { waiting = false; renderLong(); });
}, { passive: true });

setInterval(() => {
  for (const { tables } of groups.values()) {
    for (const { rows } of tables.values()) {
      for (const { data, when } of rows.values()) {
        const text = when && ago(since(data));
        if (when && when.textContent !== text) when.textContent = text;
      }
    }
  }
}, 1000);
