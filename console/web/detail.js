// SPDX-License-Identifier: Apache-2.0

// One entry, in full.

import { ago, badge, byId, element, list, time } from './elements.js';
import { groups, idOf, onOpen } from './cards.js';
import { kinds } from './rows.js';
import { actionsFor } from './actions.js';

let detail = null; // {kind, name, key, id} of the row in the dialog

export const isOpen = () => byId('detail').open;
export const close = () => byId('detail').close();

function openDetail(kind, name, key, id) {
  detail = { kind, name, key, id };
  showDetail();
  byId('detail-actions').replaceChildren(...[actionsFor(key, name, id)].filter(Boolean));
  byId('detail-body').scrollTop = 0;
  if (!isOpen()) byId('detail').showModal();
}
onOpen(openDetail);

const isProvider = key => key === 'providers' || key === 'instances';

export function showDetail() {
  if (!detail) return;
  const category = kinds[detail.kind].categories.find(c => c.key === detail.key);
  const row = groups.get(idOf(detail.kind, detail.name))?.data[detail.key].find(r => r.id === detail.id);
  const body = byId('detail-body');
  if (!row) { // what was there stays to be read
    if (!body.querySelector('.notice')) body.prepend(element('p', { class: 'notice' }, `This ${category.one} is gone, since ${time(Date.now())}.`));
    return;
  }
  const content = JSON.stringify(row);
  if (body.dataset.content === content && !body.querySelector('.notice')) return;
  body.dataset.content = content;

  byId('detail-kind').textContent = category.one[0].toUpperCase() + category.one.slice(1);
  byId('detail-title').replaceChildren(...category.cells(row).first);
  byId('detail-service').textContent = detail.kind === 'rules' ? '' : detail.name;
  body.replaceChildren(list(facts(row, detail.key)));
  if (row.conditions?.length) body.append(element('h3', {}, 'Only if'), list(row.conditions.map(p => [p.name, p.value])));
  if (row.changes?.length) body.append(element('h3', {}, isProvider(detail.key) ? 'Changed by overrides' : 'Sets'), list(changesOf(row, detail.key)));
  if (row.params.length) {
    const title = { instances: 'Metadata ', revisions: 'Services ' }[detail.key] ?? 'Parameters ';
    body.append(element('h3', {}, title, element('span', { class: 'quiet' }, String(row.params.length))), list(row.params.map(p => [p.name, p.value])));
  }
}

function facts(row, key) {
  const state = [row.disabled && isProvider(key) ? badge('disabled', 'bad') : null,
    row.disabled && (key === 'overrides' || key === 'routers') ? badge('off', 'bad') : null,
    row.broken ? badge(row.broken, 'bad') : null,
    row.weight ? badge(`weight ${row.weight}`, 'accent') : null,
    row.tag ? badge(`tag ${row.tag}`, 'accent') : null,
    row.static && key !== 'revisions' && key !== 'rules' ? badge('no lease: its key stays') : null].filter(Boolean);
  return [
    ['State', state],
    ['Started', row.started ? `${time(row.started)} (${ago(row.started)} ago)` : ''],
    ['Seen here since', row.seen > 0 ? time(row.seen) : ''],
    ['Application', row.application], ['Group', row.group], ['Version', row.version],
    ['Protocols', key === 'instances' ? row.protocol : ''], ['Revision', row.revision],
    ['Lease', row.lease], ['Put in etcd\'s revision', row.changed ? String(row.changed) : ''],
    ['Rule', row.rule],
  ].filter(([, value]) => value?.length);
}

function changesOf(row, key) {
  const before = new Map(row.params.map(p => [p.name, p.value]));
  return row.changes.map(p => [p.name, !isProvider(key) ? p.value
    : [before.has(p.name) ? element('del', {}, before.get(p.name)) : element('span', { class: 'none' }, 'not set'), ' → ', p.value]]);
}

byId('detail-close').addEventListener('click', close);
byId('detail').addEventListener('click', event => {
  if (event.target === byId('detail')) close(); // beside it
});
byId('detail').addEventListener('close', () => {
  if (isOpen() || !detail) return; // it was opened again meanwhile
  const group = groups.get(idOf(detail.kind, detail.name));
  const tr = group?.tables.get(detail.key)?.rows.get(detail.id)?.tr;
  detail = null;
  byId('detail-body').replaceChildren();
  byId('detail-actions').replaceChildren();
  delete byId('detail-body').dataset.content;
  (tr?.querySelector('button') ?? group?.card.querySelector('summary'))?.focus();
});
