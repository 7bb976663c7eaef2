// SPDX-License-Identifier: Apache-2.0

// What became of a service or an application: asked for when its user opens it, and again
// when he wants that.

import { badge, byId, element, list, time } from './elements.js';

let shown = null; // {kind, name, from: the button that opened it}

const kindNames = {
  provider: 'provider', consumer: 'consumer', configurator: 'override', router: 'router',
  instance: 'instance', mapping: 'mapping', metadata: 'metadata', config: 'rule',
};
const ofProcess = new Set(['provider', 'consumer', 'instance']);
const words = {
  came: kind => badge(ofProcess.has(kind) ? 'registered' : 'set', 'good'),
  changed: () => badge('changed', 'accent'),
  again: kind => badge(ofProcess.has(kind) ? 'registered again' : 'set again'),
  left: kind => badge(ofProcess.has(kind) ? 'left' : 'removed', 'bad'),
};
const ends = {
  deleted: 'deleted while its lease lived: by its process, or by somebody',
  'with-lease': 'its lease is gone as well: the process ended, or was not heard of',
};

// historyButton opens the time line of a group.
export function historyButton(kind, name) {
  const button = element('button', { type: 'button', class: 'history' }, 'History');
  button.setAttribute('aria-haspopup', 'dialog');
  button.addEventListener('click', () => {
    shown = { kind, name, from: button };
    byId('history-kind').textContent = `History of ${kind === 'service' ? 'a service' : 'an application'}`;
    byId('history-title').textContent = name;
    byId('history-known').textContent = '';
    byId('history-list').replaceChildren();
    byId('history').showModal();
    read();
  });
  return button;
}

export const isHistoryOpen = () => byId('history').open;

async function read() {
  const { kind, name } = shown;
  byId('history-status').textContent = 'Reading …';
  byId('history-again').disabled = true;
  const answer = await ask(kind, name);
  byId('history-again').disabled = false;
  if (shown?.kind !== kind || shown.name !== name) return; // another one was opened meanwhile
  if (answer.error) {
    byId('history-status').textContent = `The history cannot be read: ${answer.error}.`;
    return;
  }
  const many = answer.entries.length;
  byId('history-status').textContent = many ? `${answer.more ? `The last ${many}` : many} ${many === 1 ? 'change' : 'changes'}` : 'Nothing has changed in this time.';
  byId('history-known').textContent = knownOf(answer);
  byId('history-list').replaceChildren(...answer.entries.map(item));
}

async function ask(kind, name) {
  try {
    const response = await fetch(`history?${new URLSearchParams({ kind, name })}`);
    if (!response.headers.get('Content-Type')?.includes('json')) return { error: (await response.text()).trim() };
    return await response.json();
  } catch {
    return { error: 'the console does not answer' };
  }
}

// knownOf says what the time line can know.
function knownOf({ from, to, compacted, since, refused }) {
  const hidden = refused ? ` What begins with ${refused.join(' or ')} may not be read, and is not here.` : '';
  if (!to) return hidden;
  const before = compacted ? `etcd has forgotten what was before (it was compacted at ${compacted})`
    : from > 1 ? 'what was before is not looked at' : 'that is all there was';
  return `etcd's revisions ${from} to ${to}; ${before}. etcd notes no times: this console has noted them since ${time(since)}. Of what was before, the order is known.${hidden}`;
}

function item(entry) {
  const facts = [];
  if (entry.end) facts.push(['How', ends[entry.end]]);
  for (const c of entry.changes ?? []) {
    facts.push([c.name, [c.from ? element('del', {}, c.from) : element('span', { class: 'none' }, 'not set'), ' → ', c.to || element('span', { class: 'none' }, 'not set')]]);
  }
  if (entry.started && entry.what !== 'left') facts.push(['Started, as it says', time(entry.started)]);
  if (entry.lease) facts.push(['Lease', entry.lease]);
  return element('li', {},
    element('p', { class: 'when' }, whenOf(entry), element('span', { class: 'quiet' }, `revision ${entry.revision}`)),
    element('p', {}, words[entry.what](entry.kind), element('span', { class: 'quiet' }, kindNames[entry.kind] ?? entry.kind), ' ', element('code', {}, entry.name)),
    facts.length ? list(facts) : null);
}

// whenOf is the time, as exactly as the console knows it.
function whenOf({ after, before }) {
  if (!before) return element('span', {}, 'just now');
  const at = element('time', { dateTime: new Date(before).toISOString() }, after && before - after < 5000 ? time(before) : after ? `between ${time(after)} and ${time(before)}` : `before ${time(before)}`);
  return at;
}

byId('history-again').addEventListener('click', read);
byId('history-close').addEventListener('click', () => byId('history').close());
byId('history').addEventListener('click', event => {
  if (event.target === byId('history')) byId('history').close(); // beside it
});
byId('history').addEventListener('close', () => {
  if (isHistoryOpen()) return; // it was opened again meanwhile
  const from = shown?.from;
  shown = null;
  byId('history-list').replaceChildren();
  from?.focus();
});
