// SPDX-License-Identifier: Apache-2.0

package main

import (
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/dubbo-go-contrib/registry-etcdv3/console/internal/mask"
)

//go:embed web
var web embed.FS

const (
	settle       = 100 * time.Millisecond // from one message to a page to the next: changes come in flocks
	heartbeat    = 10 * time.Second       // the page reconnects when it has not heard one for longer
	reconnect    = time.Second            // after so long a browser tries again
	writeTimeout = 10 * time.Second       // a browser that takes nothing for so long is given up
	pieceSize    = 64 << 10               // bytes that are written at once
)

// policy has the browser load and run nothing but what is in web, and refuse
// to make HTML of a string.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"

// about is what the page says of the console.
type about struct {
	Run  int64  `json:"run"` // tells one run of the console from another: IDs of rows are of a run
	Etcd string `json:"etcd"`
	Root string `json:"root"`
	// Write says whether the page has actions.
	Write bool `json:"write,omitempty"`
}

func newAbout(c config) about {
	return about{Run: time.Now().UnixMilli(), Etcd: mask.Value("", c.Address), Root: c.Root(), Write: c.access.write}
}

// message is what a page is told: everything at first, then what changed.
type message struct {
	About   *about     `json:"about,omitempty"` // in the first
	Etcd    etcdState  `json:"etcd"`
	Loaded  bool       `json:"loaded"`
	Changed []*service `json:"changed,omitempty"`
	Gone    []string   `json:"gone,omitempty"`

	// Of the application level and the configuration center. Those of which the whole
	// is told are left out if they have not changed.
	Applications     []*application `json:"applications,omitempty"` // that changed
	Parts            []part         `json:"parts,omitempty"`        // of large ones that changed
	ApplicationsGone []string       `json:"applicationsGone,omitempty"`
	Rules            *[]row         `json:"rules,omitempty"`
	Problems         *[]problem     `json:"problems,omitempty"`
	MoreProblems     int            `json:"moreProblems,omitempty"`
	Refused          []string       `json:"refused,omitempty"` // prefixes that may not be read
}

// handler serves the page. With no actions nothing can be changed by it.
func handler(c *catalog, a about, do *actions, lines *histories) http.Handler {
	assets, err := fs.Sub(web, "web")
	if err != nil {
		panic(err) // the name is not a path
	}
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServerFS(assets))
	mux.HandleFunc("GET /events", func(w http.ResponseWriter, r *http.Request) { stream(w, r, c, a) })
	mux.HandleFunc("GET /history", lines.serve)
	if do != nil {
		mux.HandleFunc("POST /action", do.serve)
	}
	return mux
}

func isLoopback(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = strings.Trim(hostport, "[]")
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

// stream tells a page what there is and what changes, until it leaves or the
// console ends. A slow browser gets fewer messages, and misses nothing.
func stream(w http.ResponseWriter, r *http.Request, c *catalog, a about) {
	w.Header().Set("Content-Type", "text/event-stream")
	_, _ = fmt.Fprintf(w, "retry: %d\n\n", reconnect.Milliseconds())
	now, changed := c.snapshot()
	first := difference(snapshot{}, now)
	first.About = &a
	if send(w, "update", first) != nil {
		return
	}
	alive := time.NewTicker(heartbeat)
	defer alive.Stop()
	for {
		var err error
		select {
		case <-r.Context().Done():
			return
		case <-alive.C:
			err = send(w, "alive", nil)
		case <-changed:
			last := now
			now, changed = c.snapshot()
			err = send(w, "update", difference(last, now))
		}
		if err != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-time.After(settle):
		}
	}
}

func send(w http.ResponseWriter, event string, data any) error {
	encoded, err := json.Marshal(data) // one line, and no HTML in it
	if err != nil {
		return err
	}
	connection := http.NewResponseController(w)
	text := fmt.Appendf(nil, "event: %s\ndata: %s\n\n", event, encoded)
	for piece := range slices.Chunk(text, pieceSize) { // a browser that is slow takes some of it at least
		_ = connection.SetWriteDeadline(time.Now().Add(writeTimeout))
		if _, err := w.Write(piece); err != nil {
			return err
		}
	}
	return connection.Flush()
}

// difference is what has to be told to a page that shows one snapshot, for it
// to show the other.
func difference(last, now snapshot) message {
	m := message{Etcd: now.etcd, Loaded: now.loaded}
	for name, s := range now.services {
		if last.services[name] != s {
			m.Changed = append(m.Changed, s)
		}
	}
	for name := range last.services {
		if now.services[name] == nil {
			m.Gone = append(m.Gone, name)
		}
	}
	m.ofView(last.view, now.view)
	slices.SortFunc(m.Changed, func(a, b *service) int { return strings.Compare(a.Name, b.Name) })
	slices.Sort(m.Gone)
	return m
}

// ofView is the part of difference that is about the application level.
func (m *message) ofView(last, now *view) {
	m.Refused = now.refused
	for name, a := range now.applications {
		switch known := last.application(name); {
		case known == a:
		case known != nil && len(a.Instances) > largeApplication:
			m.Parts = append(m.Parts, partOf(known, a))
		default:
			m.Applications = append(m.Applications, a)
		}
	}
	slices.SortFunc(m.Applications, func(a, b *application) int { return strings.Compare(a.Name, b.Name) })
	if last == nil {
		last = &view{}
	}
	for name := range last.applications {
		if now.applications[name] == nil {
			m.ApplicationsGone = append(m.ApplicationsGone, name)
		}
	}
	slices.Sort(m.ApplicationsGone)
	if last.rules == nil || !slices.EqualFunc(last.rules, now.rules, equalRows) {
		m.Rules = &now.rules
	}
	if m.MoreProblems = now.more; last.problems == nil || !slices.Equal(last.problems, now.problems) {
		m.Problems = &now.problems
	}
}

// largeApplication has so many instances that a page is told only of those that changed.
const largeApplication = 200

// part is what changed of a large application.
type part struct {
	application            // its instances are those that changed, or came
	InstancesGone []uint64 `json:"instancesGone"`
}

func partOf(last, now *application) part {
	p := part{application: *now, InstancesGone: []uint64{}}
	p.Instances = []row{}
	known := make(map[uint64]*row, len(last.Instances))
	for i := range last.Instances {
		known[last.Instances[i].ID] = &last.Instances[i]
	}
	for _, r := range now.Instances {
		if before := known[r.ID]; before == nil || !equalRows(*before, r) {
			p.Instances = append(p.Instances, r)
		}
		delete(known, r.ID)
	}
	for id := range known {
		p.InstancesGone = append(p.InstancesGone, id)
	}
	slices.Sort(p.InstancesGone)
	return p
}
