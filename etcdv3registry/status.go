// SPDX-License-Identifier: Apache-2.0

package etcdv3registry

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/cachefile"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/cluster"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/layout"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/measure"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/listener"
)

// Status returns how the registries, metadata reports and config centers of this
// process are doing. It costs in proportion to what this process has registered and
// follows, never to the fleet, and waits for nothing but memory. It may be called from
// any goroutine, at any time.
func Status() Snapshot {
	now := time.Now()
	s := Snapshot{At: now, Ready: true, SkippedKeys: measure.Skipped(), Clusters: []ClusterStatus{}, CacheFiles: []CacheFileStatus{}}
	for _, c := range cluster.Statuses() {
		reasons := c.Reasons()
		s.Reasons = append(s.Reasons, reasons...)
		s.Clusters = append(s.Clusters, clusterStatus(c, reasons))
	}
	s.Ready = len(s.Reasons) == 0
	for _, f := range cachefile.Statuses() {
		s.CacheFiles = append(s.CacheFiles, CacheFileStatus{
			Path: f.Path, Bytes: f.Bytes, Saved: f.Saved, AgeSeconds: age(f.Saved, now),
			Saves: f.Saves, Failures: f.Failures, WrittenBytes: f.Written, Error: text(f.Err),
		})
	}
	return s
}

// StatusHandler serves Status as JSON: with status 200 if the process is ready, with
// 503 and the reasons if it is not. With ?pretty it is indented. It has no login, and
// shows the addresses of services: mount it where only those come who may know them.
func StatusHandler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
			return
		}
		s := Status()
		encode := json.Marshal
		if r.URL.Query().Has("pretty") {
			encode = func(v any) ([]byte, error) { return json.MarshalIndent(v, "", "  ") }
		}
		body, err := encode(s)
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		h := w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		if !s.Ready {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_, _ = w.Write(append(body, '\n')) // who asked may be gone
	})
}

// readiness is what dubbo-go's readiness probe asks.
func readiness(context.Context) error {
	var reasons []string
	for _, c := range cluster.Statuses() {
		reasons = append(reasons, c.Reasons()...)
	}
	if len(reasons) == 0 {
		return nil
	}
	return errors.New(strings.Join(reasons, "; "))
}

func clusterStatus(c cluster.Status, reasons []string) ClusterStatus {
	s := ClusterStatus{
		Endpoints: c.Endpoints, User: c.User, Ready: len(reasons) == 0, Reasons: reasons,
		Connection: ConnectionStatus{
			Connected: c.Connected, Since: c.Since, SilentSince: c.SilentSince,
			InUse: InUse{c.InUse.Requests, c.InUse.Watches, c.InUse.Lease},
		},
		Keys: KeysStatus{
			Wanted: c.Desired.Wanted, InEtcd: c.Desired.InEtcd, Unregistered: c.Desired.Unregistered, Pending: c.Desired.Pending,
			RefusedCount: c.Desired.RefusedCount, Missing: c.Desired.Missing, Error: text(c.Desired.Err),
		},
		Mirrors: []MirrorStatus{}, Listeners: []ListenerStatus{},
		OtherHistories: c.Watches.OtherHistories, Resyncs: c.Resyncs(),
	}
	if l := c.Desired.Lease; l.ID != 0 {
		s.Lease = &LeaseStatus{ID: strconv.FormatInt(int64(l.ID), 16), Granted: l.Granted, TTLSeconds: l.TTL.Seconds(), RemainingSeconds: l.Remaining.Seconds(), Unsure: l.Unsure}
	}
	if f := c.Last; f.Err != nil {
		s.Connection.LastError = &RequestError{At: f.At, Method: f.Method, Message: f.Err.Error()}
	}
	for _, r := range c.Desired.Refused {
		s.Keys.Refused = append(s.Keys.Refused, RefusedKey(r))
	}
	for _, n := range c.Calls {
		s.Requests = append(s.Requests, RequestCount{n.Method, n.Code.String(), n.Count})
	}
	for _, m := range c.Watches.Mirrors {
		s.Mirrors = append(s.Mirrors, mirrorStatus(m))
	}
	for _, r := range c.Watches.Readers {
		s.Listeners = append(s.Listeners, listenerStatus(r))
	}
	return s
}

func mirrorStatus(m listener.MirrorStatus) MirrorStatus {
	return MirrorStatus{
		Prefix: layout.Show(m.Prefix), KeysOnly: m.KeysOnly, Read: m.Listed, Partial: m.Partial,
		Keys: m.Keys, Retained: m.Retained, Bytes: m.Bytes, Revision: m.Revision, Listeners: m.Readers,
		LastChange: m.LastChange, StaleSince: m.StaleSince, Error: text(m.Err),
	}
}

func listenerStatus(r listener.ReaderStatus) ListenerStatus {
	s := ListenerStatus{Name: layout.Show(r.Name), Told: r.Told, CallSince: r.Telling, Pending: r.Pending}
	switch {
	case !r.Telling.IsZero():
		s.WaitsFor = WaitsForCall
	case !r.Listed:
		s.WaitsFor = WaitsForFirstRead
	case r.Lacking:
		s.WaitsFor = WaitsForRetry
	case r.Told.IsZero():
		s.WaitsFor = WaitsForStart
	default:
		s.WaitsFor = WaitsForChange
	}
	return s
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return cmp.Or(err.Error(), "unknown")
}

func age(at, now time.Time) float64 {
	if at.IsZero() {
		return 0
	}
	return max(0, now.Sub(at).Seconds())
}
