// SPDX-License-Identifier: Apache-2.0

// What a row of each category shows: what stands first, opens the details; the rest fills
// the columns.

import { badge, element, plural } from './elements.js';

const groupAndVersion = row => [row.group, row.version].filter(Boolean).map(v => badge(v));
const off = row => row.disabled ? [badge('off', 'warn')] : [];
const overridden = (row, ...names) => (row.changes ?? []).some(c => names.includes(c.name));

function providerCells(row) {
  const state = [];
  if (row.disabled) state.push(badge(`disabled${overridden(row, 'disabled', 'enabled') ? ' (override)' : ''}`, 'bad'));
  if (row.weight) state.push(badge(`weight ${row.weight}${overridden(row, 'weight') ? ' (override)' : ''}`, 'accent'));
  if (row.static) state.push(badge('no lease'));
  const others = (row.changes ?? []).filter(c => !['disabled', 'enabled', 'weight'].includes(c.name));
  if (others.length) state.push(badge(`${plural(others.length, 'parameter')} overridden`));
  const first = [element('span', { class: 'scheme' }, `${row.protocol}://`), row.address];
  return { first, rest: [[row.application ?? ''], groupAndVersion(row), state] };
}

function consumerCells(row) {
  return { first: [row.address || 'unknown'], rest: [[row.application ?? ''], groupAndVersion(row), []] };
}

function overrideCells(row) {
  const sets = (row.changes ?? []).map(c => badge(`${c.name} = ${c.value}`, row.disabled ? '' : 'accent'));
  const where = (row.conditions ?? []).map(c => badge(`if ${c.name} is ${c.value}`));
  return { first: [row.address || 'all providers'], rest: [[...sets, ...where], [...groupAndVersion(row), ...off(row)]] };
}

function routerCells(row) {
  const name = row.params.find(p => p.name === 'name')?.value;
  const rule = element('span', { class: 'rule' }, row.rule ?? '');
  return { first: [name || row.address || 'all consumers'], rest: [[rule], [...groupAndVersion(row), ...off(row)]] };
}

function servingCells(row) {
  const state = [];
  if (row.disabled) state.push(badge('no instance', 'bad'));
  if (!row.mapped) state.push(badge('no mapping', 'warn'));
  const protocol = row.protocol ? [badge(row.protocol)] : [];
  return { first: [row.address], rest: [[row.disabled ? '' : plural(row.count, 'instance')], [...protocol, ...groupAndVersion(row)], state] };
}

function instanceCells(row) {
  const state = [];
  if (row.broken) state.push(badge(row.broken, 'bad'));
  if (row.disabled) state.push(badge('disabled', 'bad'));
  if (row.weight) state.push(badge(`weight ${row.weight}`, 'accent'));
  if (row.tag) state.push(badge(`tag ${row.tag}`, 'accent'));
  if (row.static) state.push(badge('no lease', 'warn'));
  return { first: [row.address], rest: [[row.protocol], row.revision ? [element('span', { class: 'rule' }, row.revision)] : [], state] };
}

function servedCells(row) {
  return { first: [row.address], rest: [[], [], []] };
}

function revisionCells(row) {
  const state = row.broken ? [badge('cannot be read', 'bad')] : row.disabled ? [badge('no instance has it')] : [];
  return { first: [row.address], rest: [[plural(row.params.length, 'service')], state] };
}

function ruleCells(row) {
  return { first: [row.address], rest: [[row.group], [], []] };
}

// Of a kind of groups: the tables of each, in order.
export const kinds = {
  service: {
    one: 'service', text: 'services', title: 'Service',
    categories: [
      { key: 'providers', one: 'provider', title: 'Providers', columns: ['Providers', 'Application', 'Group · version', 'State', 'Since'], cells: providerCells },
      { key: 'applications', one: 'application', title: 'Applications', columns: ['Applications', 'Instances', 'Protocol · group · version', 'State', ''], cells: servingCells },
      { key: 'consumers', one: 'consumer', title: 'Consumers', columns: ['Consumers', 'Application', 'Group · version', '', 'Since'], cells: consumerCells },
      { key: 'overrides', one: 'override', title: 'Overrides', columns: ['Overrides', 'Sets', null, 'State', 'Since'], cells: overrideCells },
      { key: 'routers', one: 'router', title: 'Routers', columns: ['Routers', 'Rule', null, 'State', 'Since'], cells: routerCells },
    ],
  },
  application: {
    one: 'application', text: 'applications', title: 'Application',
    categories: [
      { key: 'instances', one: 'instance', title: 'Instances', columns: ['Instances', 'Protocols', 'Revision', 'State', 'Since'], cells: instanceCells },
      { key: 'serves', one: 'service', title: 'Serves', columns: ['Serves', '', '', '', ''], cells: servedCells },
      { key: 'revisions', one: 'revision', title: 'Metadata', columns: ['Metadata in etcd', 'Services', null, 'State', 'Since'], cells: revisionCells },
    ],
  },
  rules: {
    one: 'group', text: 'groups of rules', title: 'Rule',
    categories: [
      { key: 'rules', one: 'rule', title: 'Rules', columns: ['Rules and configurations', 'Group', '', '', 'Since'], cells: ruleCells },
    ],
  },
};

// isWide says whether a column takes the place of the next one, too.
export const isWide = (category, i) => category.columns[i + 1] === null;

const aliveOf = data => data.applications.some(a => !a.disabled);

// needsAttention says whether a group is not as it should be.
export function needsAttention(kind, data, troubled) {
  if (troubled.has(`${kind}/${data.name}`)) return true;
  if (kind === 'service') return (!data.providers.length && !aliveOf(data)) || data.providers.some(p => p.disabled);
  if (kind === 'application') return !data.instances.length || data.instances.some(i => i.disabled || i.broken);
  return false;
}

// badgesOf stand beside the name of a group.
export function badgesOf(kind, data) {
  if (kind === 'service' && !data.providers.length && !aliveOf(data)) return [badge('no provider', 'warn')];
  if (kind === 'application' && !data.instances.length) return [badge('no instance', 'warn')];
  return [];
}
