// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"fmt"
	"slices"

	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/console/internal/mask"
	"github.com/dubbo-go-contrib/registry-etcdv3/console/internal/world"
)

func isDenied(err error) bool { return is(err, rpctypes.ErrPermissionDenied) }

// right is one that a service needs.
type right struct {
	key    string // or what keys begin with, if it ends with a slash
	prefix bool
	write  bool // and read
	what   string
}

// command gives it.
func (r right) command() string {
	kind := "read"
	if r.write {
		kind = "readwrite"
	}
	if r.prefix {
		kind += " --prefix=true"
	}
	return fmt.Sprintf("etcdctl role grant-permission ROLE %s %s", kind, r.key)
}

// needs are the rights of docs/security.md for a service; or those of the console.
func (d *doctor) needs() (needed []right) {
	s, root := d.Service, d.Service.Root()
	if !d.Configured {
		for _, prefix := range d.layout().Prefixes() {
			needed = append(needed, right{prefix, true, false, "the console reads everything"})
		}
		return needed
	}
	interfaceLevel, applicationLevel := s.Level != constant.RegistryTypeService, s.Level != constant.RegistryTypeInterface
	for _, name := range s.Provides {
		if interfaceLevel {
			needed = append(needed,
				right{root + "/" + name + "/providers/", true, true, "it provides " + name},
				right{root + "/" + name + "/", true, false, "overrides of " + name},
				right{root + "/" + name, false, true, "dubbo-admin finds " + name + " by it"})
		}
		if applicationLevel {
			needed = append(needed, right{s.Mapping() + "/" + name, false, true, "consumers of " + name + " find the application by it"})
		}
	}
	if len(s.Provides) > 0 && applicationLevel && s.Application != "" {
		needed = append(needed, right{s.Services() + "/" + s.Application + "/", true, true, "it registers its instances"})
		if s.Remote {
			needed = append(needed, right{root + "/" + s.Application + "/", true, true, "it publishes its metadata"})
		}
	}
	for _, name := range s.Refers {
		if interfaceLevel {
			needed = append(needed,
				right{root + "/" + name + "/consumers/", true, true, "dubbo-admin and the console show who calls " + name},
				right{root + "/" + name + "/", true, false, "it calls " + name})
		}
		if applicationLevel {
			needed = append(needed, right{s.Mapping() + "/" + name, true, false, "it calls " + name})
		}
	}
	return needed
}

func (d *doctor) rights(ctx context.Context) bool {
	needed := d.needs()
	if d.Configured && len(needed) == 0 {
		d.say(Skipped, "rights", "", "the configuration names no interface: those in the code are not known here")
		return true
	}
	lacking := 0
	for _, r := range needed {
		asking, cancel := short(ctx)
		err := d.may(asking, r)
		cancel()
		switch {
		case err == nil:
		case isDenied(err):
			lacking++
			d.say(Failed, "rights", r.command(), "the user %s may not %s %s (%s)", d.user(), verb(r.write), r.key, r.what)
		case is(err, rpctypes.ErrNoSpace):
			lacking++
			d.say(Skipped, "rights", "", "whether %s may be written is not known before etcd takes writes", r.key)
		default:
			lacking++
			d.say(Failed, "rights", after(err), "it is not known whether %s may be used: %s", r.key, said(err))
		}
	}
	if lacking == 0 {
		d.say(OK, "rights", "", "the user %s has the %d rights that are needed", d.user(), len(needed))
	}
	return true
}

func (d *doctor) user() string {
	if d.Service.Username == "" {
		return "(none)"
	}
	return d.Service.Username
}

func verb(write bool) string {
	if write {
		return "write"
	}
	return "read"
}

// may tries a right, and changes nothing.
func (d *doctor) may(ctx context.Context, r right) error {
	options := []clientv3.OpOption{clientv3.WithLimit(1), clientv3.WithKeysOnly(), clientv3.WithSerializable()}
	if r.prefix {
		options = append(options, clientv3.WithPrefix())
	}
	if _, err := d.client.Get(ctx, r.key, options...); err != nil || !r.write {
		return err
	}
	return d.pretend(ctx, r.key)
}

// mostShown is how many keys of a kind are told one by one.
const mostShown = 5

// keys looks at what is in etcd.
func (d *doctor) keys(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 12*patience)
	defer cancel()
	var entries []*world.Entry
	for _, prefix := range d.layout().Prefixes() {
		some, _, err := world.Scan(ctx, d.client, d.layout(), 0, prefix)
		if isDenied(err) {
			d.say(Skipped, "keys", "", "what is below %s is not looked at: the user %s may not read it", prefix, d.user())
			continue
		} else if err != nil {
			d.say(Failed, "keys", after(err), "what is below %s cannot be read: %s", prefix, said(err))
			return false
		}
		entries = append(entries, some...)
	}
	w := world.New(entries)
	d.say(OK, "keys", "", "%d keys: %d applications and %d interfaces", len(entries), len(w.Applications), len(w.Interfaces))
	of := map[world.Kind][]world.Problem{}
	for _, p := range w.Problems() {
		of[p.Kind] = append(of[p.Kind], p)
	}
	for _, kind := range world.Kinds {
		problems := of[kind]
		for i, p := range problems {
			if i == mostShown {
				d.say(Warning, "keys", "look at the console", "and %d more like that", len(problems)-i)
				break
			}
			text := p.Text
			if kind == world.Unreadable {
				text = mask.Key(p.Key) + ": " + p.Text
			}
			d.say(Warning, "keys", p.Do, "%s", text)
		}
	}
	d.contested(ctx, entries)
	return true
}

func sorted(s []string) []string { slices.Sort(s); return s }
