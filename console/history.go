// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/console/internal/keys"
	"github.com/dubbo-go-contrib/registry-etcdv3/console/internal/mask"
	"github.com/dubbo-go-contrib/registry-etcdv3/console/internal/timeline"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
)

// histories tells pages what became of a service or an application. One is read at a
// time, whoever asks: etcd goes through its history for it.
type histories struct {
	layout keys.Layout
	client func(context.Context) (*clientv3.Client, error)
	clock  *timeline.Clock
	since  time.Time // when the clock began
	turn   chan struct{}
}

func newHistories(f *follower, clock *timeline.Clock) *histories {
	return &histories{layout: f.layout, client: f.client, clock: clock, since: time.Now(), turn: make(chan struct{}, 1)}
}

// line is what a page is told. Times are in milliseconds since 1970.
type line struct {
	Entries   []happening `json:"entries"`
	From      int64       `json:"from"` // revisions of etcd
	To        int64       `json:"to"`
	Compacted int64       `json:"compacted,omitempty"`
	More      bool        `json:"more,omitempty"`
	Refused   []string    `json:"refused,omitempty"` // prefixes that may not be read
	Since     int64       `json:"since"`             // when the console began to note times
	Error     string      `json:"error,omitempty"`
}

// happening is one entry of a time line.
type happening struct {
	Revision int64         `json:"revision"`
	What     timeline.What `json:"what"`
	Kind     keys.Kind     `json:"kind"`
	Name     string        `json:"name"`
	Changes  []step        `json:"changes,omitempty"`
	After    int64         `json:"after,omitempty"`
	Before   int64         `json:"before,omitempty"`
	Started  int64         `json:"started,omitempty"`
	Lease    string        `json:"lease,omitempty"`
	End      timeline.End  `json:"end,omitempty"`
}

// step is from what to what a parameter changed, fit to be shown.
type step struct {
	Name string `json:"name"`
	From string `json:"from"`
	To   string `json:"to"`
}

// mostSteps is of how many parameters of one change the page is told.
const mostSteps = 50

var errNoName = errors.New("that is no name")

func (h *histories) serve(w http.ResponseWriter, r *http.Request) {
	status, answer := http.StatusOK, line{Entries: []happening{}, Since: h.since.UnixMilli()}
	switch err := h.tell(r, &answer); {
	case errors.Is(err, errNoName):
		status, answer.Error = http.StatusBadRequest, err.Error()
	case retry.CanPass(err):
		status, answer.Error = http.StatusBadGateway, "etcd does not answer"
	case err != nil:
		status, answer.Error = http.StatusBadGateway, mask.Value("", err.Error())
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer)
}

func (h *histories) tell(r *http.Request, answer *line) error {
	name := r.FormValue("name")
	if name == "" || strings.Contains(name, "/") {
		return errNoName
	}
	select {
	case h.turn <- struct{}{}:
		defer func() { <-h.turn }()
	case <-r.Context().Done():
		return r.Context().Err()
	}
	client, err := h.client(r.Context())
	if err != nil {
		return err
	}
	read, err := timeline.Read(r.Context(), client, timeline.Subject{Layout: h.layout, Name: name, Application: r.FormValue("kind") == "application"}, h.clock)
	if err != nil {
		return err
	}
	answer.From, answer.To, answer.Compacted, answer.More, answer.Refused = read.From, read.To, read.Compacted, read.More, read.Refused
	now := time.Now()
	for _, e := range read.Entries {
		answer.Entries = append(answer.Entries, shownOf(e, now))
	}
	return nil
}

func shownOf(e timeline.Entry, now time.Time) happening {
	shown := happening{Revision: e.Revision, What: e.What, Kind: e.Key.Kind, Name: nameOf(e.Key), After: millis(e.After), Before: millis(e.Before), End: e.End}
	if e.Started != 0 {
		shown.Started = startedAt(e.Started, now)
	}
	if e.Lease != 0 {
		shown.Lease = strconv.FormatInt(e.Lease, 16)
	}
	for _, c := range e.Changes[:min(len(e.Changes), mostSteps)] {
		if e.Key.Kind == keys.Configurator && slices.Contains(ofTheRule, c.Name) {
			continue
		}
		shown.Changes = append(shown.Changes, step{mask.Cut(c.Name), mask.Value(c.Name, c.From), mask.Value(c.Name, c.To)})
	}
	return shown
}

// nameOf is by what the page knows a key.
func nameOf(k keys.Key) string {
	switch {
	case k.URL != nil && k.Kind == keys.Provider:
		return mask.Cut(k.URL.Protocol + "://" + k.URL.Address())
	case k.URL != nil:
		return mask.Cut(k.URL.Address())
	case k.Kind == keys.Mapping:
		return mask.Cut(k.Of)
	case k.Part != "" && k.Err == nil:
		return mask.Key(k.Part)
	}
	return mask.Key(k.Name)
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}
