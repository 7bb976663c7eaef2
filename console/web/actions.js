// SPDX-License-Identifier: Apache-2.0

// What can be done with an entry: each is shown as the command of etcdctl that it is,
// and done when that is confirmed.

import { element } from './elements.js';
import { link } from './link.js';

const steps = {
  providers: [
    { do: 'out', label: 'Take out' },
    { do: 'in', label: 'Put back' },
    { do: 'weight', label: 'Weight …', input: 'Weight, from 0 to 10000 (100 is usual)' },
  ],
  instances: [
    { do: 'out', label: 'Take out' },
    { do: 'in', label: 'Put back' },
    { do: 'tag', label: 'Tag …', input: 'Tag (nothing: none)' },
  ],
  rules: [{ do: 'rule', label: 'Edit …', read: true }],
  unreadable: [{ do: 'delete', label: 'Delete …' }],
};

async function ask(order) {
  try {
    const response = await fetch('action', { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(order) });
    if (!response.headers.get('Content-Type')?.includes('json')) return { error: `The console refuses: ${(await response.text()).trim()}` };
    return await response.json();
  } catch {
    return { error: 'The console does not answer.' };
  }
}

// actionsFor are the buttons for an entry; null if it has none.
export function actionsFor(key, name, id) {
  if (!link.about?.write || !steps[key]) return null;
  const box = element('div', { class: 'actions' });
  const below = element('div', { class: 'step' });
  const say = (text, role = 'status') => {
    const p = element('p', {}, text);
    p.setAttribute('role', role);
    below.replaceChildren(p);
  };

  async function plan(order) {
    const answer = await ask(order);
    if (answer.error) {
      say(answer.error, 'alert');
      return;
    }
    const confirm = element('button', { type: 'button', class: 'confirm' }, 'Do it');
    const cancel = element('button', { type: 'button' }, 'Cancel');
    const command = element('pre', { tabIndex: 0 }, answer.command);
    command.setAttribute('aria-label', 'The command of etcdctl that does it');
    below.replaceChildren(element('p', {}, 'This is done, unless the key changes meanwhile:'), command, element('div', { class: 'buttons' }, confirm, cancel));
    confirm.focus();
    cancel.addEventListener('click', () => { below.replaceChildren(); });
    confirm.addEventListener('click', async () => {
      confirm.disabled = true;
      const done = await ask({ ...order, confirm: answer.confirm });
      say(done.error ?? 'Done.', done.error ? 'alert' : 'status');
    });
  }

  async function form(step, order) {
    let read = { value: '' };
    if (step.read) {
      read = await ask({ ...order, do: 'read' });
      if (read.error) {
        say(read.error, 'alert');
        return;
      }
    }
    const field = step.read ? element('textarea', { rows: 16, spellcheck: false, value: read.value ?? '' }) : element('input', { type: 'text', autocomplete: 'off' });
    const label = element('label', {}, step.input ?? 'Text of the rule, in YAML', field);
    const next = element('button', { type: 'submit' }, 'Show the command');
    const asked = element('form', {}, label, next);
    asked.addEventListener('submit', event => {
      event.preventDefault();
      plan({ ...order, value: field.value, revision: read.revision ?? 0 });
    });
    below.replaceChildren(asked);
    field.focus();
  }

  for (const step of steps[key]) {
    const button = element('button', { type: 'button' }, step.label);
    button.dataset.do = step.do;
    button.addEventListener('click', () => {
      const order = { do: step.do, name, id };
      if (step.input || step.read) form(step, order);
      else plan(order);
    });
    box.append(button);
  }
  box.append(below);
  return box;
}
