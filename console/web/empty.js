// SPDX-License-Identifier: Apache-2.0

// What the page says where it has nothing to show.

import { byId } from './elements.js';
import { link } from './link.js';

export function showEmpty(view, total, everything, shown, onlyAttention) {
  byId('tools').hidden = everything === 0;
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
    say('Nothing matches', onlyAttention && !byId('filter').value ? 'All is well: what is called is served, and nothing is disabled.' : 'The filter looks at names, addresses, applications and all parameters.');
  } else if (link.loaded && view !== 'service') {
    say(view === 'application' ? 'No application yet' : 'No rule yet', view === 'application'
      ? 'Applications register with registry-type: service, which is the default, or all.' : 'Rules and configurations of the configuration center appear here.');
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
