// SPDX-License-Identifier: Apache-2.0

package servicediscovery

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing/synctest"

	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// modelReader reads feeds of several applications, as a reference does: when it is
// woken, and not else.
type modelReader struct {
	h       *history
	name    string
	changed chan struct{}
	feeds   map[string]*Feed             // by application
	settled map[string]bool              // as it was when the reader looked last
	known   map[string]map[string]called // by application and key
}

// called is how an instance is called.
type called struct {
	urls    []string
	created int64
}

func newModelReader(h *history, n int) *modelReader {
	return &modelReader{
		h: h, name: fmt.Sprint("reader ", n), changed: make(chan struct{}, 1),
		feeds: map[string]*Feed{}, settled: map[string]bool{}, known: map[string]map[string]called{},
	}
}

func (r *modelReader) open(d *Discovery, app string) {
	feed, err := d.Open(app, r.changed)
	require.NoError(r.h.t, err)
	r.feeds[app], r.known[app] = feed, map[string]called{}
}

func (r *modelReader) close(app string) {
	r.h.aside.Go(r.feeds[app].Close)
	delete(r.feeds, app)
	delete(r.known, app)
	delete(r.settled, app)
}

func (r *modelReader) closeAll() {
	for app := range r.feeds {
		r.close(app)
	}
	r.h.aside.Wait()
	synctest.Wait()
	select {
	case <-r.changed: // it was woken before
	default:
	}
}

// look takes what there is, if it was woken.
func (r *modelReader) look() {
	select {
	case <-r.changed:
	default:
		return
	}
	services := map[string]bool{}
	for _, all := range served {
		for name, protocol := range all {
			services[name+":"+protocol] = true
		}
	}
	for app, feed := range r.feeds {
		r.settled[app] = feed.Settled()
		for _, c := range feed.Take() {
			assert.True(r.h.t, strings.HasPrefix(c.Key, "/services/"+app+"/"), "%s is told of %s", r.name, c.Key)
			if c.Provider == nil {
				delete(r.known[app], c.Key)
				continue
			}
			now := called{created: c.Provider.Created()}
			for service := range services {
				for _, u := range c.Provider.URLs(service, now.created, feed.IsInstance) {
					now.urls = append(now.urls, fmt.Sprintf("%s://%s/%s of %s %s %s", u.Protocol, u.Location, u.Service(),
						u.GetParam("of", ""), u.GetParam(constant.WeightKey, ""), u.GetParam(constant.Tagkey, "")))
				}
			}
			slices.Sort(now.urls)
			r.known[app][c.Key] = now
		}
	}
}

// check compares what it knows with what etcd has.
func (r *modelReader) check(all map[string]*truth) {
	r.look()
	for app := range r.feeds {
		t := all[app]
		if r.h.keepLast && len(t.instances) == 0 {
			continue
		}
		assert.True(r.h.t, r.settled[app], "%s of %s is settled", r.name, app)
		want, got := map[string][]string{}, map[string][]string{}
		for key, i := range t.instances {
			if i.revision != "" && i.revision != "0" {
				want[key] = t.urls(i)
			}
		}
		for key, c := range r.known[app] {
			got[key] = c.urls
			if began, there := t.began[key]; there && (c.created < began[0] || c.created > began[1]) {
				assert.Fail(r.h.t, "began at another time", "%s: %s began at %d, by etcd in %d to %d", r.name, key, c.created, began[0], began[1])
			}
		}
		assert.Equal(r.h.t, want, got, "what %s calls of %s", r.name, app)
	}
}

// knows returns the names of the applications that a reader has feeds of.
func (r *modelReader) knows() []string { return slices.Sorted(maps.Keys(r.feeds)) }
