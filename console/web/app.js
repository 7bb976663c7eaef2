// SPDX-License-Identifier: Apache-2.0

// The page: what the console tells is kept in `services`, and shown. All that
// comes from the registry goes into the page as text.

const byId = id => document.getElementById(id);

const fadeTime = 1500; // how long what is gone stays to be seen, in ms
const silence = 25_000; // without even a heartbeat for so long, the connection is dead
const manyServices = 12; // more than so many start folded

const categories = [
  { key: 'providers', one: 'provider', title: 'Providers', columns: ['Providers', 'Application', 'Group · version', 'State', 'Since'], cells: providerCells },
  { key: 'consumers', one: 'consumer', title: 'Consumers', columns: ['Consumers', 'Application', 'Group · version', '', 'Since'], cells: consumerCells },
  { key: 'overrides', one: 'override', title: 'Overrides', columns: ['Overrides', 'Sets', null, 'State', 'Since'], cells: overrideCells },
  { key: 'routers', one: 'router', title: 'Routers', columns: ['Routers', 'Rule', null, 'State', 'Since'], cells: routerCells },
];

/* What is known. */

const services = new Map(); // name → {data, card, tables: key → {section, rows: id → {data, tr, since}}}
const link = { open: false, since: Date.now(), about: null, etcd: null, loaded: false };
const folded = new Map(); // name → whether the user closed it
let onlyAttention = false;
let detail = null; // {name, key, id} of the row in the dialog

/* Making elements. */

function element(tag, properties = {}, ...children) {
  const { class: names, ...rest } = properties;
  const e = Object.assign(document.createElement(tag), rest);
  if (names) e.className = names;
  e.append(...children.filter(c => c !== null && c !== ''));
  return e;
}

const badge = (text, kind = '') => element('span', { class: `badge ${kind}` }, text);
const plural = (n, one) => `${n} ${one}${n === 1 ? '' : 's'}`;

function time(ms) {
  const date = new Date(ms);
  const clock = date.toLocaleTimeString([], { hour: '2-digit', minute: '2-digit', second: '2-digit', hour12: false });
  return date.toDateString() === new Date().toDateString() ? clock : `${date.toLocaleDateString([], { year: 'numeric', month: 'short', day: 'numeric' })} ${clock}`;
}

function ago(ms) {
  const seconds = Math.max(0, Math.round((Date.now() - ms) / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)} h`;
  return plural(Math.floor(seconds / 86400), 'day');
}

const since = row => row.started || row.seen;
const order = new Intl.Collator('en', { numeric: true });

/* Rows: what stands first, opens the details; the rest fills the columns. */

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

// isWide says whether a column takes the place of the next one, too.
const isWide = (category, i) => category.columns[i + 1] === null;

function makeRow(category, name, row) {
  const { first, rest } = category.cells(row);
  const button = element('button', { type: 'button', class: 'open' }, ...first);
  button.setAttribute('aria-haspopup', 'dialog');
  const when = element('time', { dateTime: new Date(since(row)).toISOString(), title: `${row.started ? 'Started' : 'Seen here since'} ${time(since(row))}` });
  const tr = element('tr', {},
    element('th', { scope: 'row' }, button),
    ...rest.map((children, i) => element('td', { colSpan: isWide(category, i + 1) ? 2 : 1 }, ...children)),
    element('td', {}, when));
  tr.classList.toggle('disabled', Boolean(row.disabled));
  tr.dataset.id = row.id;
  tr.addEventListener('click', () => {
    if (!getSelection().toString()) openDetail(name, category.key, row.id);
  });
  return { data: row, tr, when };
}

/* Services. */

function makeService(name) {
  const dot = name.lastIndexOf('.') + 1;
  const heading = element('h2', {},
    element('span', { class: 'package' }, name.slice(0, dot)),
    element('span', { class: 'name' }, name.slice(dot) || '(no name)'));
  const badges = element('span', { class: 'badges' });
  const tally = element('span', { class: 'tally' });
  const summary = element('summary', {}, heading, badges, tally);
  const card = element('details', { class: 'service' }, summary);
  card.dataset.service = name;
  summary.addEventListener('click', () => folded.set(name, card.open));
  return { data: null, card, badges, tally, tables: new Map() };
}

function makeTable(category) {
  const columns = element('colgroup');
  category.columns.forEach((_, i) => columns.append(element('col', { class: `c${i + 1}` })));
  const head = element('tr', {}, ...category.columns.flatMap((c, i) => c === null ? []
    : [element('th', { scope: 'col', colSpan: isWide(category, i) ? 2 : 1 }, element('span', {}, c))]));
  const body = element('tbody');
  const table = element('table', {}, element('caption', {}, category.title), columns, element('thead', {}, head), body);
  table.dataset.category = category.key;
  return { table, body, rows: new Map() };
}

function showService(data, animate) {
  let service = services.get(data.name);
  const isNew = !service;
  if (isNew) {
    service = makeService(data.name);
    services.set(data.name, service);
    if (animate) light(service.card);
  }
  service.data = data;
  service.text = null;
  for (const category of categories) showRows(service, category, data[category.key], animate && !isNew);
  service.badges.replaceChildren(...(data.providers.length ? [] : [badge('no provider', 'warn')]));
  service.tally.textContent = categories.filter(c => data[c.key].length).map(c => plural(data[c.key].length, c.one)).join(' · ');
}

function showRows(service, category, list, animate) {
  let table = service.tables.get(category.key);
  if (!table) {
    if (!list.length) return;
    table = makeTable(category);
    service.tables.set(category.key, table);
    const later = categories.slice(categories.indexOf(category) + 1).map(c => service.tables.get(c.key)?.table).find(Boolean);
    service.card.insertBefore(table.table, later ?? null);
  }
  const listed = new Set(list.map(row => row.id));
  for (const [id, row] of table.rows) {
    if (listed.has(id)) continue;
    table.rows.delete(id);
    fade(row.tr, () => {
      if (table.body.childElementCount || service.tables.get(category.key) !== table) return;
      table.table.remove();
      service.tables.delete(category.key);
    });
  }
  let before = table.body.firstElementChild;
  for (const data of list) {
    while (before?.classList.contains('gone')) before = before.nextElementSibling;
    let row = table.rows.get(data.id);
    if (!row || JSON.stringify(row.data) !== JSON.stringify(data)) {
      const made = makeRow(category, service.data.name, data);
      made.when.textContent = ago(since(data));
      const focused = row?.tr.contains(document.activeElement);
      if (before === row?.tr) before = before?.nextElementSibling ?? null;
      row?.tr.remove();
      row = made;
      table.rows.set(data.id, row);
      table.body.insertBefore(row.tr, before);
      if (focused) row.tr.querySelector('button').focus();
      if (animate) light(row.tr);
    } else if (row.tr === before) {
      before = before.nextElementSibling;
    } else {
      table.body.insertBefore(row.tr, before);
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

function removeService(name) {
  const service = services.get(name);
  if (!service) return;
  services.delete(name);
  fade(service.card);
}

/* Putting it all on the page. */

function textOf(service) {
  service.text ??= JSON.stringify([service.data.name, ...categories.flatMap(c => service.data[c.key].flatMap(
    row => [row.protocol, row.address, row.application, row.group, row.version, row.rule, ...row.params.map(p => `${p.name}=${p.value}`)]))]).toLowerCase();
  return service.text;
}

const needsAttention = data => !data.providers.length || data.providers.some(p => p.disabled);

function show() {
  const words = byId('filter').value.toLowerCase().split(/\s+/).filter(Boolean);
  const names = [...services.keys()].sort(order.compare);
  const list = byId('services');
  let before = list.firstElementChild;
  let shown = 0;
  for (const name of names) {
    const service = services.get(name);
    const { card, data } = service;
    while (before?.classList.contains('gone')) before = before.nextElementSibling;
    if (card === before) before = before.nextElementSibling;
    else list.insertBefore(card, before);
    const visible = words.every(w => textOf(service).includes(w)) && (!onlyAttention || needsAttention(data));
    card.hidden = !visible;
    if (visible) shown++;
  }
  const selective = words.length > 0 || onlyAttention;
  for (const name of names) {
    services.get(name).card.open = !(folded.get(name) ?? (names.length > manyServices && !(selective && shown <= manyServices)));
  }
  showCounts(names.length);
  byId('matches').textContent = selective && shown ? `${shown} of ${plural(names.length, 'service')}` : '';
  byId('fold').textContent = isAllFolded() ? 'Unfold all' : 'Fold all';
  showEmpty(names.length, shown);
  showLink();
  showDetail();
}

const isAllFolded = () => services.size > 0 && [...services.values()].every(s => s.card.hidden || !s.card.open);

function showCounts(total) {
  const all = key => [...services.values()].flatMap(s => s.data[key]);
  const set = (key, count, note) => {
    byId(`count-${key}`).textContent = link.loaded ? count : '–';
    byId(`note-${key}`).textContent = note;
  };
  const without = [...services.values()].filter(s => !s.data.providers.length).length;
  const disabled = all('providers').filter(p => p.disabled).length;
  const offIn = key => { const n = all(key).filter(r => r.disabled).length; return n ? `${n} off` : ''; };
  set('services', total, without ? `${without} without provider` : '');
  set('providers', all('providers').length, disabled ? `${disabled} disabled` : '');
  set('consumers', all('consumers').length, '');
  set('overrides', all('overrides').length, offIn('overrides'));
  set('routers', all('routers').length, offIn('routers'));
  document.title = `${link.open && link.etcd?.status === 'answers' ? '' : '⚠ '}${link.loaded ? plural(total, 'service') + ' · ' : ''}Registry`;
}

function showEmpty(total, shown) {
  byId('tools').hidden = total === 0;
  byId('empty').hidden = shown > 0 || !link.about;
  if (byId('empty').hidden) return;
  const { etcd, root } = link.about;
  const say = (title, text, command = '') => {
    byId('empty-title').textContent = title;
    byId('empty-text').textContent = text;
    byId('empty-command').textContent = command;
    byId('empty-command').hidden = !command;
  };
  byId('empty-clear').hidden = total === 0;
  const local = ['127.0.0.1:2379', 'localhost:2379'].includes(etcd);
  if (total > 0) {
    say('Nothing matches', onlyAttention && !byId('filter').value ? 'All services have providers, and none is disabled.' : 'The filter looks at names, addresses, applications and all parameters.');
  } else if (link.loaded) {
    if (local) say(`No service in ${root} yet`, 'A provider appears here as soon as it is registered. To start one:', 'go run ./examples/provider -name one');
    else say(`No service in ${root} yet`, 'A provider appears here as soon as it is registered. It needs in its configuration:', registryConfig(etcd, root));
  } else if (link.etcd?.status === 'refuses') {
    say('etcd refuses to be read', 'The message above says why. A user is given by -username, and its password by the variable ETCD_PASSWORD.');
  } else if (link.etcd?.status === 'silent') {
    if (local) say(`Waiting for etcd at ${etcd}`, 'It does not answer. This page goes on by itself when it does. The quickstart starts an etcd there, with some services:', 'go run ./examples/quickstart -keep');
    else say(`Waiting for etcd at ${etcd}`, 'It does not answer. Start it, and this page goes on by itself. Is it elsewhere? Then start the console with:', 'go run ./console -etcd host:port');
  } else {
    say('Reading …', `from etcd at ${etcd}`);
  }
}

// registryConfig is what a service has to have in its YAML to be seen here.
function registryConfig(etcd, root) {
  const parts = root.split('/').slice(1);
  const group = parts.pop();
  return ['dubbo:', '  registries:', '    etcd:', '      protocol: etcdv3', '      registry-type: interface', `      address: ${etcd}`,
    group === 'dubbo' ? '' : `      group: ${group}`, parts.length ? `      namespace: ${parts.join('/')}` : ''].filter(Boolean).join('\n');
}

function showLink() {
  const status = !link.open ? 'gone' : link.etcd?.status || 'waiting';
  const [state, text, notice] = {
    answers: ['live', 'connected', ''],
    silent: ['away', 'etcd does not answer, reconnecting', link.loaded ? 'etcd does not answer. The registry is shown as it was last seen; this page goes on by itself when etcd is back.' : ''],
    refuses: ['refused', 'etcd refuses', `etcd refuses to be read: ${link.etcd?.reason}`],
    gone: ['away', 'console does not answer, reconnecting', link.about ? 'The console has ended, or cannot be reached. This page goes on by itself when it is back.' : ''],
    waiting: ['waiting', 'connecting', ''],
  }[status];
  const from = status === 'gone' ? link.since : Math.max(link.etcd?.since ?? 0, status === 'answers' ? link.since : 0);
  byId('link').dataset.state = state;
  if (byId('link-text').textContent !== text) byId('link-text').textContent = text; // it is read out
  byId('link-since').textContent = from ? `since ${time(from)}` : '';
  byId('notice').hidden = !notice;
  byId('notice').classList.toggle('bad', state === 'refused');
  if (byId('notice').textContent !== notice) byId('notice').textContent = notice;
  document.body.classList.toggle('stale', Boolean(notice));
  if (link.about) {
    byId('root').textContent = link.about.root;
    byId('etcd').textContent = link.about.etcd;
  }
}

/* One entry, in full. */

function openDetail(name, key, id) {
  detail = { name, key, id };
  showDetail();
  byId('detail-body').scrollTop = 0;
  if (!byId('detail').open) byId('detail').showModal();
}

function showDetail() {
  if (!detail) return;
  const category = categories.find(c => c.key === detail.key);
  const row = services.get(detail.name)?.data[detail.key].find(r => r.id === detail.id);
  const body = byId('detail-body');
  if (!row) { // what was there stays to be read
    if (!body.querySelector('.notice')) body.prepend(element('p', { class: 'notice' }, `This ${category.one} is gone, since ${time(Date.now())}.`));
    return;
  }
  const content = JSON.stringify(row);
  if (body.dataset.content === content && !body.querySelector('.notice')) return;
  body.dataset.content = content;

  const { first } = category.cells(row);
  byId('detail-kind').textContent = category.title.slice(0, -1);
  byId('detail-title').replaceChildren(...first);
  byId('detail-service').textContent = detail.name;
  const state = [row.disabled ? badge(detail.key === 'providers' ? 'disabled' : 'off', 'bad') : null,
    row.weight ? badge(`weight ${row.weight}`, 'accent') : null,
    row.static ? badge('no lease: its key stays') : null].filter(Boolean);
  const facts = [
    ['State', state],
    ['Started', row.started ? `${time(row.started)} (${ago(row.started)} ago)` : ''],
    ['Seen here since', time(row.seen)],
    ['Application', row.application], ['Group', row.group], ['Version', row.version],
    ['Rule', row.rule],
  ].filter(([, value]) => value?.length);
  body.replaceChildren(list(facts));
  if (row.conditions?.length) body.append(element('h3', {}, 'Only if'), list(row.conditions.map(p => [p.name, p.value])));
  if (row.changes?.length) {
    const before = new Map(row.params.map(p => [p.name, p.value]));
    body.append(
      element('h3', {}, detail.key === 'providers' ? 'Changed by overrides' : 'Sets'),
      list(row.changes.map(p => [p.name, detail.key !== 'providers' ? p.value
        : [before.has(p.name) ? element('del', {}, before.get(p.name)) : element('span', { class: 'none' }, 'not set'), ' → ', p.value]])));
  }
  body.append(
    element('h3', {}, 'Parameters ', element('span', { class: 'quiet' }, String(row.params.length))),
    list(row.params.map(p => [p.name, p.value])));
}

function list(pairs) {
  return element('dl', { class: 'facts' }, ...pairs.flatMap(([name, value]) => [
    element('dt', {}, name),
    element('dd', {}, ...(Array.isArray(value) ? value : [value || element('span', { class: 'none' }, 'empty')])),
  ]));
}

/* What the user does. */

byId('filter').addEventListener('input', show);
byId('attention').addEventListener('click', () => {
  onlyAttention = !onlyAttention;
  byId('attention').setAttribute('aria-pressed', onlyAttention);
  show();
});
byId('fold').addEventListener('click', () => {
  const fold = !isAllFolded();
  for (const name of services.keys()) folded.set(name, fold);
  show();
});
byId('empty-clear').addEventListener('click', () => {
  byId('filter').value = '';
  onlyAttention = false;
  byId('attention').setAttribute('aria-pressed', false);
  show();
  byId('filter').focus();
});
byId('services').addEventListener('toggle', () => {
  byId('fold').textContent = isAllFolded() ? 'Unfold all' : 'Fold all';
}, true);
byId('detail-close').addEventListener('click', () => byId('detail').close());
byId('detail').addEventListener('click', event => {
  if (event.target === byId('detail')) byId('detail').close(); // beside it
});
byId('detail').addEventListener('close', () => {
  if (byId('detail').open || !detail) return; // it was opened again meanwhile
  const tr = services.get(detail.name)?.tables.get(detail.key)?.rows.get(detail.id)?.tr;
  detail = null;
  byId('detail-body').replaceChildren();
  delete byId('detail-body').dataset.content;
  tr?.querySelector('button').focus();
});
document.addEventListener('keydown', event => {
  if (byId('detail').open || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === '/' && document.activeElement !== byId('filter')) {
    event.preventDefault();
    byId('filter').focus();
    byId('filter').select();
  } else if (event.key === 'Escape' && document.activeElement === byId('filter')) {
    byId('filter').value = '';
    show();
  }
});

setInterval(() => {
  for (const { tables } of services.values()) {
    for (const { rows } of tables.values()) {
      for (const { data, when } of rows.values()) {
        const text = ago(since(data));
        if (when.textContent !== text) when.textContent = text;
      }
    }
  }
}, 1000);

/* What the console tells. */

let source = null;
let watchdog = 0;

function setOpen(open) {
  if (link.open !== open) {
    link.open = open;
    link.since = Date.now();
  }
}

function connect() {
  source?.close();
  source = new EventSource('events');
  source.addEventListener('update', event => {
    heard();
    take(JSON.parse(event.data));
  });
  source.addEventListener('alive', heard);
  source.addEventListener('error', () => {
    setOpen(false);
    show();
    if (source.readyState === EventSource.CLOSED) setTimeout(connect, 1000); // otherwise the browser tries again
  });
  heard();
}

// heard puts off what is done when nothing is heard.
function heard() {
  clearTimeout(watchdog);
  watchdog = setTimeout(() => {
    setOpen(false);
    show();
    connect();
  }, silence);
}

function take(message) {
  setOpen(true);
  let animate = true;
  if (message.about) { // all there is
    if (link.about?.run !== message.about.run) { // rows of another run have other IDs
      animate = false;
      services.clear();
      byId('services').replaceChildren();
      if (byId('detail').open) byId('detail').close();
    }
    link.about = message.about;
    const told = new Set((message.changed ?? []).map(s => s.name));
    for (const name of services.keys()) if (!told.has(name)) removeService(name);
  }
  if (!link.loaded) animate = false;
  link.etcd = message.etcd;
  link.loaded = message.loaded;
  for (const service of message.changed ?? []) showService(service, animate);
  for (const name of message.gone ?? []) removeService(name);
  show();
}

connect();
