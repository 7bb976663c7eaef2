// SPDX-License-Identifier: Apache-2.0

// Package listener tells dubbo-go's listeners what is in etcd, and what
// changes there.
//
// Three parts build on each other:
//
//   - a [Hub] shares watches: one a prefix, however many are interested, all of
//     one client on one stream. Each watch keeps a mirror of the keys under its
//     prefix: listed once, in pages, at one revision, then followed from there;
//     listed again only when etcd has forgotten the history since;
//   - a [Feed] is one interested party's view of a mirror: which keys changed
//     since it last looked. Changes of one key collapse into the last, so a
//     reader that is slow delays nobody, and costs no more memory than there are
//     keys that changed;
//   - a [Subscription] reads a feed for one framework listener: it turns keys
//     into URLs and changes into Notify and NotifyAll.
package listener
