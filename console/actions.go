// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"dubbo.apache.org/dubbo-go/v3/common/constant"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/console/internal/action"
	"github.com/dubbo-go-contrib/registry-etcdv3/console/internal/keys"
	"github.com/dubbo-go-contrib/registry-etcdv3/console/internal/mask"
	"github.com/dubbo-go-contrib/registry-etcdv3/console/internal/world"
)

// What can be done.
const (
	doOut    = "out"    // take a provider or an instance out
	doIn     = "in"     // put it back
	doWeight = "weight" // of a provider
	doTag    = "tag"    // of an instance
	doRead   = "read"   // the text of a rule
	doRule   = "rule"   // put another text
	doDelete = "delete" // a key that nobody can read
)

// order is what a page wants done.
type order struct {
	Do       string `json:"do"`
	Name     string `json:"name"`     // of the service or the application
	ID       uint64 `json:"id"`       // of the row, or of the key
	Value    string `json:"value"`    // a weight, a tag, the text of a rule
	Revision int64  `json:"revision"` // of the rule that was read
	Confirm  string `json:"confirm"`  // of the plan that its user has seen; empty: only plan
}

// plan is what would be done, or what was.
type plan struct {
	Command string `json:"command,omitempty"`
	Confirm string `json:"confirm,omitempty"`
	Done    bool   `json:"done,omitempty"`
	Error   string `json:"error,omitempty"`

	Value    string `json:"value,omitempty"` // of a rule that is read
	Revision int64  `json:"revision,omitempty"`
}

// mostOrder is how many bytes an order may have: a rule, mostly.
const mostOrder = 256 << 10

// actions does what is ordered.
type actions struct {
	config
	catalog *catalog
	store   func(func(*world.Store)) // lets its keys be looked at
	client  func(context.Context) (*clientv3.Client, error)
	audit   *slog.Logger
}

func (a *actions) serve(w http.ResponseWriter, r *http.Request) {
	var o order
	status, answer := http.StatusOK, plan{}
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, mostOrder)).Decode(&o); err != nil {
		status, answer.Error = http.StatusBadRequest, "the order cannot be read"
	} else if answer, err = a.do(r, o); err != nil {
		status, answer.Error = http.StatusConflict, mask.Value("", err.Error())
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer)
}

// do plans, and makes the change if it is the one that was confirmed.
func (a *actions) do(r *http.Request, o order) (plan, error) {
	ctx, cancel := context.WithTimeout(r.Context(), 10*time.Second)
	defer cancel()
	client, err := a.client(ctx)
	if err != nil {
		return plan{}, err
	}
	change, err := a.change(ctx, client, o)
	if err != nil {
		return plan{}, err
	}
	if o.Do == doRead {
		return plan{Value: change.Value, Revision: change.Revision}, nil
	}
	command := change.Command(action.Flags(a.Endpoints(), a.Username, a.TLS.TrustedCAFile, a.TLS.CertFile, a.TLS.KeyFile))
	sum := sha256.Sum256([]byte(command))
	p := plan{Command: command, Confirm: hex.EncodeToString(sum[:])}
	if o.Confirm == "" {
		return p, nil
	}
	line := a.audit.With("user", userOf(r), "from", r.RemoteAddr, "do", o.Do, "key", mask.Key(change.Key), "was", change.Revision)
	if o.Confirm != p.Confirm {
		line.Warn("not done", "why", "it is not what was confirmed")
		return p, action.ErrMeanwhile
	}
	revision, err := change.Apply(ctx, client)
	if err != nil {
		line.Warn("not done", "why", err.Error())
		return p, err
	}
	line.Info("done", "revision", revision)
	p.Done = true
	return p, nil
}

// errUnknown is why nothing can be done with a row that is not there.
var errUnknown = errors.New("it is gone meanwhile")

// change is what an order comes to, as etcd is now.
func (a *actions) change(ctx context.Context, client *clientv3.Client, o order) (action.Change, error) {
	if p, ok := a.provider(o); ok {
		return a.ofProvider(ctx, client, o, p)
	}
	e := a.entry(o.ID)
	if e == nil {
		return action.Change{}, errUnknown
	}
	c, err := action.Read(ctx, client, e.Name)
	if err != nil {
		return c, err
	}
	switch {
	case e.Kind == keys.Instance && (o.Do == doOut || o.Do == doIn || o.Do == doTag):
		return a.ofInstance(ctx, client, o, e)
	case o.Do == doRead && e.Kind == keys.Config:
		return c, nil
	case o.Do == doRule && e.Kind == keys.Config:
		c.Value, c.Revision = o.Value, o.Revision // of what its user has read
		return c, action.CheckRule(e.Part, o.Value)
	case o.Do == doDelete && e.Err != nil && c.Revision != 0:
		c.Delete = true
		return c, nil
	}
	return c, fmt.Errorf("that cannot be done with this %s", e.Kind)
}

// provider finds one of the interface level.
func (a *actions) provider(o order) (p action.Provider, ok bool) {
	a.catalog.mu.Lock()
	defer a.catalog.mu.Unlock()
	m := a.catalog.services[o.Name]
	if m == nil {
		return p, false
	}
	for _, e := range m.entries {
		if e.id == o.ID && e.url.GetParam(constant.CategoryKey, constant.DefaultCategory) == constant.DefaultCategory {
			return action.Provider{
				Interface: o.Name, Address: e.url.Location,
				Group: e.url.GetParam(constant.GroupKey, ""), Version: e.url.GetParam(constant.VersionKey, ""),
			}, true
		}
	}
	return p, false
}

func (a *actions) entry(id uint64) (found *world.Entry) {
	a.store(func(s *world.Store) {
		s.All(func(e *world.Entry) bool {
			if idOf(e.Name) == id {
				found = e
			}
			return found == nil
		})
	})
	return found
}

// ofProvider is an override of Dubbo 2.6, which works at interface level.
func (a *actions) ofProvider(ctx context.Context, client *clientv3.Client, o order, p action.Provider) (action.Change, error) {
	name, value := "disabled", "true"
	if o.Do == doWeight {
		if err := action.CheckWeight(o.Value); err != nil {
			return action.Change{}, err
		}
		name, value = constant.WeightKey, o.Value
	}
	c, err := action.Read(ctx, client, p.OverrideKey(a.Root(), name, value))
	if err != nil {
		return c, err
	}
	c.Value = ""
	switch {
	case o.Do == doIn && c.Revision == 0:
		return c, errors.New("this console has not taken it out: delete the override that has")
	case o.Do == doIn:
		c.Delete = true
	case o.Do != doOut && o.Do != doWeight:
		return c, errors.New("that cannot be done with a provider")
	case c.Revision != 0:
		return c, errors.New("there is such an override already")
	}
	return c, nil
}

// ofInstance is the tag rule of its application, which works at application level for
// consumers that have a configuration center.
func (a *actions) ofInstance(ctx context.Context, client *clientv3.Client, o order, e *world.Entry) (action.Change, error) {
	c, err := action.Read(ctx, client, a.Config()+"/dubbo/"+e.Of+".tag-router")
	if err != nil {
		return c, err
	}
	tag := strings.TrimSpace(o.Value)
	switch {
	case o.Do == doOut:
		tag = action.Out
	case o.Do == doIn:
		if !action.HasTag(c.Value, e.Part, action.Out) {
			return c, errors.New("this console has not taken it out")
		}
		tag = ""
	case strings.ContainsAny(tag, "\r\n\t ,") || len(tag) > 100:
		return c, errors.New("a tag is a word")
	}
	c.Value, err = action.Tag(c.Value, e.Of, e.Part, tag)
	return c, err
}
