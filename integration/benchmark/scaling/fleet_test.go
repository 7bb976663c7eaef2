// SPDX-License-Identifier: Apache-2.0

package scaling_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

// perChild is how many processes of the fleet are in one of the machine: each has
// a connection to each member of etcd, and so as many file descriptors.
const perChild = 2500

// fleet is all processes that use etcd, seen by their parent.
type fleet struct {
	t         testing.TB
	endpoints []string
	children  []*part
	size      int // processes that there are
	rounds    int // of providers that another program has added
}

// part is a child process.
type part struct {
	cmd     *exec.Cmd
	ask     *json.Encoder
	answers *json.Decoder
	in      io.Closer
	cpu     time.Duration // as of its last answer
}

func newFleet(t testing.TB, endpoints []string) *fleet { return &fleet{t: t, endpoints: endpoints} }

// startPart runs a child, which ends with this process or the test.
func (f *fleet) startPart() *part {
	f.t.Helper()
	replies, child, err := os.Pipe()
	require.NoError(f.t, err)
	exe, err := os.Executable()
	require.NoError(f.t, err)
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), childVariable+"=1")
	cmd.Stderr = os.Stderr
	cmd.ExtraFiles = []*os.File{child}
	in, err := cmd.StdinPipe()
	require.NoError(f.t, err)
	require.NoError(f.t, cmd.Start())
	_ = child.Close()
	p := &part{cmd: cmd, ask: json.NewEncoder(in), answers: json.NewDecoder(replies), in: in}
	f.t.Cleanup(func() {
		_ = p.in.Close()
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
		_ = replies.Close()
	})
	return p
}

func (p *part) do(r request) (reply, error) {
	var answer reply
	if err := p.ask.Encode(r); err != nil {
		return answer, err
	}
	if err := p.answers.Decode(&answer); err != nil {
		return answer, fmt.Errorf("%s: %w", r.Do, err)
	}
	p.cpu = answer.CPU
	if answer.Err != "" {
		return answer, errors.New(answer.Err)
	}
	return answer, nil
}

// each asks all children at the same time.
func (f *fleet) each(r request) (all []reply, err error) {
	all = make([]reply, len(f.children))
	var group errgroup.Group
	for i, p := range f.children {
		group.Go(func() (err error) {
			all[i], err = p.do(r)
			return err
		})
	}
	return all, group.Wait()
}

// grow makes the fleet as large as that, if it can be started within the limit, and
// returns when all know of all.
func (f *fleet) grow(size int, limit time.Duration) error {
	f.t.Helper()
	var group errgroup.Group
	for k := 0; k*perChild < size; k++ {
		if k == len(f.children) {
			f.children = append(f.children, f.startPart())
		}
		from, to := max(f.size, k*perChild), min(size, (k+1)*perChild)
		if from >= to {
			continue
		}
		group.Go(func() error {
			_, err := f.children[k].do(request{Do: grow, Endpoints: f.endpoints, From: from, To: to, Limit: limit})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("start processes: %w", err)
	}
	f.size = size
	return f.awaitExact(patience)
}

// awaitExact waits until each process knows exactly the providers that there are.
func (f *fleet) awaitExact(limit time.Duration) error {
	_, err := f.each(request{Do: exact, Processes: f.size, Rounds: f.rounds, Limit: limit})
	return err
}

func (f *fleet) resetLags() error {
	_, err := f.each(request{Do: reset})
	return err
}

// takeLags returns how soon consumers were told of providers that come and go,
// since the last time.
func (f *fleet) takeLags() (lags, error) {
	all, err := f.each(request{Do: told})
	joined := lags{}
	for _, r := range all {
		joined.join(r.Lags)
	}
	return joined, err
}

// cpu is what the fleet has used as of its last answers.
func (f *fleet) cpu() (used time.Duration) {
	for _, p := range f.children {
		used += p.cpu
	}
	return used
}
