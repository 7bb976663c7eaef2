// SPDX-License-Identifier: Apache-2.0

package scaling_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"dubbo.apache.org/dubbo-go/v3/registry"
	"github.com/dubbogo/gost/log/logger"
	"golang.org/x/sync/errgroup"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/benchmark/used"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// request is what a child is asked, one thing at a time.
type request struct {
	Do        task
	Endpoints []string      // of etcd
	From, To  int           // grow: which processes
	Processes int           // exact: of the whole fleet
	Rounds    int           // exact: of providers that were added
	Limit     time.Duration // for grow and exact
}

type task string

const (
	grow  task = "grow"  // make the processes
	exact task = "exact" // wait until all know exactly the providers that there are
	reset task = "reset" // forget the lags
	told  task = "told"  // how soon consumers were told of providers that come and go
)

type reply struct {
	Err  string
	Lags lags          // told
	CPU  time.Duration // used since its start
}

// child is a part of the fleet: many processes, as far as etcd can tell. Each
// has connections, a lease and watches of its own.
type child struct {
	members    []registry.Registry
	references []*reference
}

// runChild answers requests until its parent ends it, or ends.
func runChild() error {
	logger.SetLoggerLevel("fatal")
	requests := make(chan request)
	go func() { // stdin ends with the parent, whatever is being done
		for decoder := json.NewDecoder(os.Stdin); ; {
			var r request
			if err := decoder.Decode(&r); errors.Is(err, io.EOF) {
				os.Exit(0)
			} else if err != nil {
				fmt.Fprintln(os.Stderr, "a part of the fleet: read a request:", err)
				os.Exit(1)
			}
			requests <- r
		}
	}()
	c := &child{}
	answers := json.NewEncoder(os.NewFile(3, "replies"))
	for r := range requests {
		answer := reply{Lags: lags{}}
		if err := c.serve(r, &answer); err != nil {
			answer.Err = err.Error()
		}
		answer.CPU = used.CPU()
		if err := answers.Encode(answer); err != nil {
			return err
		}
	}
	return nil
}

func (c *child) serve(r request, answer *reply) error {
	switch r.Do {
	case grow:
		return c.grow(r)
	case exact:
		return c.awaitExact(r)
	case reset:
		for _, l := range c.references {
			l.takeLags()
		}
	case told:
		for _, l := range c.references {
			answer.Lags.join(l.takeLags())
		}
	default:
		return fmt.Errorf("what is %q", r.Do)
	}
	return nil
}

// starting is how many processes of a child start at a time.
const starting = 16

func (c *child) grow(r request) error {
	var group errgroup.Group
	group.SetLimit(starting)
	deadline := time.Now().Add(r.Limit)
	for i := r.From; i < r.To; i++ {
		if time.Now().After(deadline) {
			return errors.Join(group.Wait(), fmt.Errorf("after %v only %d of %d have been started", r.Limit, i-r.From, r.To-r.From))
		}
		member, err := openRegistry(r.Endpoints, i)
		if err != nil {
			return err
		}
		var referred []*reference
		for n := range references {
			referred = append(referred, newReference(i, i/block+n))
		}
		c.members, c.references = append(c.members, member), append(c.references, referred...)
		group.Go(func() error { return join(member, i, referred) })
	}
	return group.Wait()
}

// join does what a process does when it starts.
func join(r registry.Registry, i int, referred []*reference) error {
	if err := r.Register(provider(i/block, fleetAddress(i))); err != nil {
		return err
	}
	for _, l := range referred {
		u := consumer(l.b, i)
		if err := r.LoadSubscribeInstances(u, l); err != nil {
			return err
		}
		if err := r.Subscribe(u, l); err != nil {
			return err
		}
		if err := r.Register(u); err != nil {
			return err
		}
	}
	return nil
}

// openRegistry returns a registry that shares nothing with any other of this
// process: it reaches the members of etcd at addresses of its own.
func openRegistry(endpoints []string, i int) (registry.Registry, error) {
	own := make([]string, len(endpoints))
	for k, endpoint := range endpoints {
		own[k] = etcdtest.Loopback(endpoint, i)
	}
	return testkit.OpenRegistry(strings.Join(own, ","), "file-cache", "false", "registry.timeout", "20s")
}

func (c *child) awaitExact(r request) error {
	next, problem := 0, ""
	_, ok := testkit.Poll(r.Limit, 20*time.Millisecond, func() bool {
		problem = ""
		for ; next < len(c.references); next++ {
			if problem = c.references[next].problem(r.Processes, r.Rounds); problem != "" {
				break
			}
		}
		return problem == ""
	})
	if !ok {
		return fmt.Errorf("after %v: %s", r.Limit, problem)
	}
	return nil
}
