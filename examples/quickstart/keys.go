// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/examples/greeter"
)

const (
	root      = "/dubbo/" + greeter.Interface // "dubbo" is the default group of a registry
	providers = root + "/providers/"
)

func (d *demo) waitForEtcd() error {
	var err error
	for begin := time.Now(); time.Since(begin) < patience; {
		ctx, cancel := context.WithTimeout(d.ctx, time.Second)
		_, err = d.view.Get(ctx, root)
		cancel()
		if err == nil {
			return nil
		}
		if d.etcd.hasEnded() {
			return fmt.Errorf("etcd has ended: %v", d.etcd.cmd.ProcessState)
		}
	}
	return fmt.Errorf("etcd does not answer after %v: %w", patience, err)
}

// printKeys shows what is in etcd about the service.
func (d *demo) printKeys() error {
	ctx, cancel := context.WithTimeout(d.ctx, patience)
	defer cancel()
	found, err := d.view.Get(ctx, root, clientv3.WithPrefix())
	if err != nil {
		return err
	}
	for _, kv := range found.Kvs {
		key, err := url.QueryUnescape(string(kv.Key))
		if err != nil {
			return err
		}
		lease := "no lease"
		if kv.Lease != 0 {
			lease = fmt.Sprintf("lease %x", kv.Lease)
		}
		key, params, _ := strings.Cut(key, "?")
		if params != "" {
			key += "?" + abbreviated(params)
		}
		say("  %s  (%s)", key, lease)
	}
	return nil
}

// abbreviated leaves out most of a URL's parameters.
func abbreviated(params string) string {
	all := strings.Split(params, "&")
	var some []string
	for _, param := range all {
		if name, _, _ := strings.Cut(param, "="); name == "application" || name == "methods" {
			some = append(some, param)
		}
	}
	return fmt.Sprintf("%s&... %d more", strings.Join(some, "&"), len(all)-len(some))
}

// keyOf finds the key of a provider; it is empty if the provider has none.
func (d *demo) keyOf(p *process) (string, error) {
	ctx, cancel := context.WithTimeout(d.ctx, patience)
	defer cancel()
	found, err := d.view.Get(ctx, providers, clientv3.WithPrefix(), clientv3.WithKeysOnly())
	if err != nil {
		return "", fmt.Errorf("look for the key of provider %s: %w", p.name, err)
	}
	for _, kv := range found.Kvs {
		if strings.Contains(string(kv.Key), url.QueryEscape("//"+p.address()+"/")) {
			return string(kv.Key), nil
		}
	}
	return "", nil
}

func (d *demo) waitForKey(p *process) error {
	for begin := time.Now(); time.Since(begin) < patience; time.Sleep(10 * time.Millisecond) {
		key, err := d.keyOf(p)
		if key != "" || err != nil {
			return err
		}
		if p.hasEnded() {
			return fmt.Errorf("provider %s has ended: %v", p.name, p.cmd.ProcessState)
		}
	}
	return fmt.Errorf("provider %s is not in etcd after %v", p.name, patience)
}

// whenKeyIsGone tells when the key of a provider is deleted.
func (d *demo) whenKeyIsGone(p *process) (<-chan time.Time, error) {
	key, err := d.keyOf(p)
	if err != nil {
		return nil, err
	}
	gone := make(chan time.Time, 1)
	changes := d.view.Watch(d.ctx, key)
	go func() {
		for response := range changes {
			for _, e := range response.Events {
				if e.Type == clientv3.EventTypeDelete {
					gone <- time.Now()
					return
				}
			}
		}
	}()
	return gone, nil
}
