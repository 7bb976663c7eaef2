// SPDX-License-Identifier: Apache-2.0

package timeline

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"

	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/console/internal/keys"
)

// entries makes what happened out of events, which are in the order of their revisions.
func entries(s Subject, events []event) (all []Entry) {
	for len(events) > 0 {
		same := 1 // of one transaction
		for same < len(events) && events[same].revision == events[0].revision {
			same++
		}
		all = append(all, ofTransaction(s, events[:same])...)
		events = events[same:]
	}
	return all
}

// ofTransaction takes a URL that went and another of the same place that came for one
// that changed: at interface level the parameters are in the key.
func ofTransaction(s Subject, events []event) (all []Entry) {
	gone := map[string]event{}
	for _, e := range events {
		if e.key.Name == "" && e.before.URL != nil {
			gone[place(e.before)] = e
		}
	}
	replaced := map[string]bool{} // keys
	for i, e := range events {
		if e.key.URL == nil || e.before.Name != "" {
			continue
		}
		if old, ok := gone[place(e.key)]; ok {
			delete(gone, place(e.key))
			events[i].before, events[i].leaseBefore = old.before, old.leaseBefore
			replaced[old.before.Name] = true
		}
	}
	for _, e := range events {
		if e.key.Name != "" || !replaced[e.before.Name] {
			all = append(all, entry(s, e))
		}
	}
	return all
}

// place is what two URLs of one registration have in common.
func place(k keys.Key) string {
	u := k.URL
	return strings.Join([]string{string(k.Kind), u.Protocol, u.Address(), u.Path, u.Param(constant.GroupKey), u.Param(constant.VersionKey), u.Param("name")}, "\n")
}

func entry(s Subject, e event) Entry {
	made := Entry{Revision: e.revision, Key: e.key, Lease: e.lease}
	switch {
	case e.key.Name == "":
		made.What, made.Key, made.Lease = Left, e.before, e.leaseBefore
	case e.before.Name == "":
		made.What = Came
		if made.Key.Kind == keys.Configurator || made.Key.Kind == keys.Mapping { // which are what they say
			made.Changes = difference(keys.Key{}, made.Key)
		}
	default:
		made.What, made.Changes = Again, difference(e.before, e.key)
		if len(made.Changes) > 0 || !sameText(e) {
			made.What = Changed
		}
	}
	if s.Application && e.kind() == keys.Mapping { // to this application
		made.What, made.Changes = Came, nil
		if !slices.Contains(e.key.Applications, s.Name) {
			made.What = Left
		}
	}
	made.Started = started(made.Key)
	return made
}

// sameText says whether what is not looked into, as a rule, is as it was.
func sameText(e event) bool { return e.key.Kind != keys.Config || e.text == e.textBefore }

// difference is in which parameters two versions differ. When a process started is none.
func difference(before, after keys.Key) (changes []Change) {
	from, to := parameters(before), parameters(after)
	delete(from, constant.TimestampKey)
	delete(to, constant.TimestampKey)
	names := maps.Clone(from)
	maps.Copy(names, to)
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if from[name] != to[name] {
			changes = append(changes, Change{name, from[name], to[name]})
		}
	}
	return changes
}

// parameters are what a key says, by name.
func parameters(k keys.Key) map[string]string {
	all := map[string]string{}
	switch {
	case k.URL != nil:
		maps.Copy(all, k.URL.Params)
	case k.Instance != nil:
		i := k.Instance
		maps.Copy(all, i.Metadata)
		all["enabled"] = strconv.FormatBool(!i.Disabled())
		if i.Healthy != nil {
			all["healthy"] = strconv.FormatBool(*i.Healthy)
		}
		if i.Weight != 0 {
			all["weight"] = strconv.FormatInt(i.Weight, 10)
		}
		if i.Tag != "" {
			all["tag"] = i.Tag
		}
	case k.Kind == keys.Mapping:
		all["applications"] = strings.Join(k.Applications, ", ")
	case k.Metadata != nil:
		all["services"] = strings.Join(slices.Sorted(maps.Keys(k.Metadata.Services)), ", ")
	}
	if k.Err != nil {
		all["unreadable"] = k.Err.Error()
	}
	return all
}

func started(k keys.Key) int64 {
	ms, _ := strconv.ParseInt(parameters(k)[constant.TimestampKey], 10, 64) // none is zero
	return ms
}

// settleEnds tells keys that were deleted from those that left with their lease. What etcd
// keeps of a deletion does not say; a lease that outlived it does.
func settleEnds(ctx context.Context, client *clientv3.Client, entries []Entry, events []event) {
	lastOf := map[int64]int64{} // lease → the last revision in which a key was under it
	for _, e := range events {
		if e.lease != 0 {
			lastOf[e.lease] = e.revision
		}
		if e.key.Name == "" && e.leaseBefore != 0 {
			lastOf[e.leaseBefore] = max(lastOf[e.leaseBefore], e.revision)
		}
	}
	ends := map[int64]End{}
	for i := range entries {
		e := &entries[i]
		if e.What != Left || e.Lease == 0 {
			continue
		}
		if lastOf[e.Lease] > e.Revision {
			e.End = Deleted
			continue
		}
		end, known := ends[e.Lease]
		if !known && len(ends) < mostLeases {
			end = endOf(ctx, client, e.Lease)
			ends[e.Lease] = end
		}
		e.End = end
	}
}

func endOf(ctx context.Context, client *clientv3.Client, lease int64) End {
	left, err := client.TimeToLive(ctx, clientv3.LeaseID(lease))
	switch {
	case err == nil && left.TTL > 0:
		return Deleted
	case err == nil || errors.Is(err, rpctypes.ErrLeaseNotFound):
		return WithLease
	}
	return Unknown
}
