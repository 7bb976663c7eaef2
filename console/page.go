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
	writeTimeout = 10 * time.Second       // a browser that takes nothing is given up
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
}

func newAbout(c config) about {
	return about{Run: time.Now().UnixMilli(), Etcd: mask.Value("", c.Address), Root: c.Root()}
}

// message is what a page is told: everything at first, then what changed.
type message struct {
	About   *about     `json:"about,omitempty"` // in the first
	Etcd    etcdState  `json:"etcd"`
	Loaded  bool       `json:"loaded"`
	Changed []*service `json:"changed,omitempty"`
	Gone    []string   `json:"gone,omitempty"`
}

func handler(c *catalog, a about, address net.Addr) http.Handler {
	assets, err := fs.Sub(web, "web")
	if err != nil {
		panic(err) // the name is not a path
	}
	mux := http.NewServeMux()
	mux.Handle("GET /", http.FileServerFS(assets))
	mux.HandleFunc("GET /events", func(w http.ResponseWriter, r *http.Request) { stream(w, r, c, a) })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if isLoopback(address.String()) && !isLoopback(r.Host) {
			// A site whose name has been made to point here.
			http.Error(w, "This page is for this machine: open it as http://"+address.String(), http.StatusForbidden)
			return
		}
		w.Header().Set("Content-Security-Policy", policy)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Referrer-Policy", "no-referrer")
		w.Header().Set("Cache-Control", "no-store")
		mux.ServeHTTP(w, r)
	})
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
	_ = connection.SetWriteDeadline(time.Now().Add(writeTimeout))
	if _, err := fmt.Fprintf(w, "event: %s\ndata: %s\n\n", event, encoded); err != nil {
		return err
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
	slices.SortFunc(m.Changed, func(a, b *service) int { return strings.Compare(a.Name, b.Name) })
	slices.Sort(m.Gone)
	return m
}
