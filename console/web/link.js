// SPDX-License-Identifier: Apache-2.0

// The connection to the console, and what it says of etcd.

import { byId, time } from './elements.js';

const silence = 45_000; // without even a heartbeat for so long, the connection is dead

export const link = { open: false, since: Date.now(), about: null, etcd: null, loaded: false, refused: [] };

export function showLink() {
  const status = !link.open ? 'gone' : link.etcd?.status || 'waiting';
  const [state, text, notice] = {
    answers: ['live', 'connected', ''],
    silent: ['away', 'etcd does not answer, reconnecting', link.loaded ? 'etcd does not answer. The registry is shown as it was last seen; this page goes on by itself when etcd is back.' : ''],
    refuses: ['refused', 'etcd refuses', `etcd refuses to be read: ${link.etcd?.reason}`],
    gone: ['away', 'console does not answer, reconnecting', link.about ? 'The console has ended, or cannot be reached. This page goes on by itself when it is back.' : ''],
    waiting: ['waiting', 'connecting', ''],
  }[status];
  const hidden = status === 'answers' && link.refused.length ? `etcd refuses to have ${link.refused.join(' and ')} read: what is there is not shown. The role of the console lacks a right.` : '';
  const from = status === 'gone' ? link.since : Math.max(link.etcd?.since ?? 0, status === 'answers' ? link.since : 0);
  byId('link').dataset.state = state;
  if (byId('link-text').textContent !== text) byId('link-text').textContent = text; // it is read out
  byId('link-since').textContent = from ? `since ${time(from)}` : '';
  const said = notice || hidden;
  byId('notice').hidden = !said;
  byId('notice').classList.toggle('bad', state === 'refused');
  if (byId('notice').textContent !== said) byId('notice').textContent = said;
  document.body.classList.toggle('stale', Boolean(notice));
  if (link.about) {
    byId('root').textContent = link.about.root;
    byId('etcd').textContent = link.about.etcd;
  }
}

let source = null;
let watchdog = 0;

export function setOpen(open) {
  if (link.open !== open) {
    link.open = open;
    link.since = Date.now();
  }
}

// connect has take called with what the console tells, and show with what else changes.
export function connect(take, show) {
  source?.close();
  source = new EventSource('events');
  source.addEventListener('update', event => {
    heard(take, show);
    take(JSON.parse(event.data));
  });
  source.addEventListener('alive', () => heard(take, show));
  source.addEventListener('error', () => {
    setOpen(false);
    show();
    if (source.readyState === EventSource.CLOSED) setTimeout(() => connect(take, show), 1000); // otherwise the browser tries again
  });
  heard(take, show);
}

// heard puts off what is done when nothing is heard.
function heard(take, show) {
  clearTimeout(watchdog);
  watchdog = setTimeout(() => {
    setOpen(false);
    show();
    connect(take, show);
  }, silence);
}
