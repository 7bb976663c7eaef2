// SPDX-License-Identifier: Apache-2.0

// The page: what the console tells is kept in groups, and shown.

import { badge, byId, element, order, plural } from './elements.js';
import { folded, groups, idOf, ofKind, removeGroup, renderTables, showGroup, textOf } from './cards.js';
import { close, isOpen, showDetail } from './detail.js';
import { connect, link, setOpen, showLink } from './link.js';
import { kinds, needsAttention } from './rows.js';
import { showEmpty } from './empty.js';
import { actionsFor } from './actions.js';
import { isHistoryOpen } from './history.js';

const manyGroups = 12; // more than so many start folded
const fewProblems = 5; // so many are shown at first

let view = 'service';
let onlyAttention = false;
let problems = [];
let moreProblems = 0;
let allProblems = false;
let troubled = new Set(); // groups that have a problem which is not just left over

const garbage = new Set(['gone-mapping', 'gone-metadata', 'empty-service']);
const problemNames = {
  'no-provider': 'no provider', 'no-match': 'no match', 'no-metadata': 'no metadata', unreadable: 'unreadable', twice: 'twice',
  'gone-mapping': 'left over', 'gone-metadata': 'left over', 'empty-service': 'left over',
};

/* Putting it all on the page. */

function show() {
  const words = byId('filter').value.toLowerCase().split(/\s+/).filter(Boolean);
  const shownGroups = ofKind(view).sort((a, b) => order.compare(a.data.name, b.data.name));
  const list = byId('services');
  for (const group of groups.values()) if (group.kind !== view) group.card.remove();
  let before = list.firstElementChild;
  let shown = 0;
  for (const group of shownGroups) {
    const { card, data } = group;
    while (before?.classList.contains('gone')) before = before.nextElementSibling;
    if (card === before) before = before.nextElementSibling;
    else list.insertBefore(card, before);
    const visible = words.every(w => textOf(group).includes(w)) && (!onlyAttention || needsAttention(view, data, troubled));
    card.hidden = !visible;
    if (visible) shown++;
  }
  const selective = words.length > 0 || onlyAttention;
  for (const group of shownGroups) {
    const open = !(folded.get(idOf(view, group.data.name)) ?? (shownGroups.length > manyGroups && !(selective && shown <= manyGroups)));
    const changes = group.card.open !== open || (open && !group.tables.size);
    group.card.open = open;
    if (changes) renderTables(group, false);
  }
  const { text } = kinds[view];
  byId('matches').textContent = selective && shown ? `${shown} of ${shownGroups.length} ${shownGroups.length === 1 ? kinds[view].one : text}` : '';
  showFold();
  showCounts();
  showProblems();
  showEmpty(view, shownGroups.length, groups.size, shown, onlyAttention);
  showLink();
  showDetail();
}

const isAllFolded = () => ofKind(view).every(g => g.card.hidden || !g.card.open);
const showFold = () => { byId('fold').textContent = isAllFolded() && ofKind(view).length ? 'Unfold all' : 'Fold all'; };

function showCounts() {
  const services = ofKind('service').map(g => g.data);
  const applications = ofKind('application').map(g => g.data);
  const count = (all, key) => all.reduce((n, data) => n + data[key].length, 0);
  const countIf = (all, key, is) => all.reduce((n, data) => n + data[key].filter(is).length, 0);
  const off = r => r.disabled;
  const set = (key, n, note, text) => {
    byId(`count-${key}`).textContent = link.loaded ? n : '–';
    byId(`note-${key}`).textContent = note ? `${note} ${text}` : '';
  };
  set('services', services.length, services.filter(s => !s.providers.length && s.applications.every(off)).length, 'without provider');
  set('providers', count(services, 'providers'), countIf(services, 'providers', off), 'disabled');
  set('consumers', count(services, 'consumers'), 0, '');
  set('overrides', count(services, 'overrides'), countIf(services, 'overrides', off), 'off');
  set('routers', count(services, 'routers'), countIf(services, 'routers', off), 'off');
  set('applications', applications.length, applications.filter(a => !a.instances.length).length, 'without instance');
  set('instances', count(applications, 'instances'), countIf(applications, 'instances', i => i.broken), 'without metadata');
  document.title = `${link.open && link.etcd?.status === 'answers' ? '' : '⚠ '}${link.loaded ? plural(services.length, 'service') + ' · ' : ''}Registry`;
}

function showProblems() {
  const total = problems.length + moreProblems;
  byId('problems').hidden = total === 0;
  byId('problems-title').textContent = plural(total, 'problem');
  const shown = allProblems ? problems : problems.slice(0, fewProblems);
  const content = JSON.stringify(shown.map(p => p.id));
  byId('problems-more').hidden = total <= fewProblems;
  byId('problems-more').textContent = allProblems ? 'Show fewer' : `Show all ${total}`;
  byId('problems-more').setAttribute('aria-expanded', allProblems);
  if (byId('problems-list').dataset.content === content) return;
  byId('problems-list').dataset.content = content;
  byId('problems-list').replaceChildren(...shown.map(p => {
    const where = p.interface ? ['service', p.interface] : p.application ? ['application', p.application] : null;
    const text = where && groups.has(idOf(...where)) ? element('button', { type: 'button', class: 'go' }, p.text) : element('span', {}, p.text);
    text.addEventListener?.('click', () => { if (where) go(...where); });
    return element('li', {}, badge(problemNames[p.kind] ?? p.kind, garbage.has(p.kind) ? '' : 'warn'), text,
      element('span', { class: 'do' }, `${p.do}.`), element('code', { class: 'quiet' }, p.key), p.keyId ? actionsFor(p.kind, '', p.keyId) : null);
  }));
  if (allProblems && moreProblems) byId('problems-list').append(element('li', {}, `and ${moreProblems} more: console doctor counts them`));
}

// go shows a group.
function go(kind, name) {
  setView(kind);
  byId('filter').value = '';
  setAttention(false);
  folded.set(idOf(kind, name), false);
  show();
  const { card } = groups.get(idOf(kind, name));
  card.scrollIntoView({ block: 'start' });
  card.querySelector('summary').focus();
}

/* What the user does. */

function setView(kind) {
  view = kind;
  for (const button of document.querySelectorAll('#views button')) button.setAttribute('aria-pressed', button.dataset.view === kind);
}

function setAttention(on) {
  onlyAttention = on;
  byId('attention').setAttribute('aria-pressed', on);
}

for (const button of document.querySelectorAll('#views button')) {
  button.addEventListener('click', () => { setView(button.dataset.view); show(); });
}
byId('filter').addEventListener('input', show);
byId('attention').addEventListener('click', () => { setAttention(!onlyAttention); show(); });
byId('problems-more').addEventListener('click', () => { allProblems = !allProblems; show(); });
byId('fold').addEventListener('click', () => {
  const fold = !isAllFolded();
  for (const group of ofKind(view)) folded.set(idOf(view, group.data.name), fold);
  show();
});
byId('empty-clear').addEventListener('click', () => {
  byId('filter').value = '';
  setAttention(false);
  show();
  byId('filter').focus();
});
byId('services').addEventListener('toggle', showFold, true);
document.addEventListener('keydown', event => {
  if (isOpen() || isHistoryOpen() || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === '/' && document.activeElement !== byId('filter')) {
    event.preventDefault();
    byId('filter').focus();
    byId('filter').select();
  } else if (event.key === 'Escape' && document.activeElement === byId('filter')) {
    byId('filter').value = '';
    show();
  }
});

/* What the console tells. */

function take(message) {
  setOpen(true);
  let animate = true;
  if (message.about) { // all there is
    if (link.about?.run !== message.about.run) { // rows of another run have other IDs
      animate = false;
      groups.clear();
      byId('services').replaceChildren();
      if (isOpen()) close();
    }
    link.about = message.about;
    const told = new Set([...(message.changed ?? []).map(s => idOf('service', s.name)), ...(message.applications ?? []).map(a => idOf('application', a.name))]);
    for (const { kind, data } of [...groups.values()]) if (kind !== 'rules' && !told.has(idOf(kind, data.name))) removeGroup(kind, data.name);
  }
  if (!link.loaded) animate = false;
  link.etcd = message.etcd;
  link.loaded = message.loaded;
  link.refused = message.refused ?? [];
  if (message.problems) {
    problems = message.problems;
    troubled = new Set(problems.filter(p => !garbage.has(p.kind)).flatMap(p => [idOf('service', p.interface), idOf('application', p.application)]));
  }
  moreProblems = message.moreProblems ?? 0;
  for (const data of message.changed ?? []) showGroup('service', data, animate);
  for (const name of message.gone ?? []) removeGroup('service', name);
  for (const data of message.applications ?? []) showGroup('application', data, animate);
  for (const part of message.parts ?? []) takePart(part, animate);
  for (const name of message.applicationsGone ?? []) removeGroup('application', name);
  if (message.rules) takeRules(message.rules, animate);
  show();
}

// takePart takes what changed of a large application.
function takePart({ instancesGone, ...data }, animate) {
  const known = groups.get(idOf('application', data.name));
  if (!known) return;
  const rows = new Map(known.data.instances.map(row => [row.id, row]));
  for (const id of instancesGone) rows.delete(id);
  for (const row of data.instances) rows.set(row.id, row);
  data.instances = [...rows.values()].sort((a, b) => (a.address < b.address ? -1 : Number(a.address > b.address)));
  showGroup('application', data, animate);
}

// takeRules shows all rules as a group for each of the configuration center's groups.
function takeRules(rules, animate) {
  const of = new Map();
  for (const rule of rules) of.set(rule.group, [...(of.get(rule.group) ?? []), rule]);
  for (const { data } of ofKind('rules')) if (!of.has(data.name)) removeGroup('rules', data.name);
  for (const [name, list] of of) showGroup('rules', { name, rules: list }, animate);
}

connect(take, show);
