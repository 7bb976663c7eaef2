// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// get asks a child, and returns what it says.
func (p *process) get(path string, body any) ([]byte, error) {
	encoded, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	client := http.Client{Timeout: testkit.Patience, Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Post("http://"+p.control+path, "application/json", bytes.NewReader(encoded))
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", response.Status, answer)
	}
	return answer, err
}

func (p *process) ask(path string, answer any) error {
	said, err := p.get(path, nil)
	if err != nil || answer == nil {
		return err
	}
	return json.Unmarshal(said, answer)
}

func (p *process) report() report {
	p.t.Helper()
	var r report
	require.NoError(p.t, p.ask("/report", &r), "%s", p.Name)
	return r
}

// calls returns the tally of one of the consumer's references.
func (p *process) calls(s service) tally {
	p.t.Helper()
	return p.report().Tallies[s.reference()]
}

// reset forgets what became of all calls so far.
func (p *process) reset() {
	p.t.Helper()
	require.NoError(p.t, p.ask("/reset", nil), "%s", p.Name)
}

// refer has the process make one more reference, and call it.
func (p *process) refer(s service) {
	p.t.Helper()
	_, err := p.get("/refer", s)
	require.NoError(p.t, err, "%s refers to %s", p.Name, s.reference())
}

// destroy has the process end a reference.
func (p *process) destroy(s service) {
	p.t.Helper()
	_, err := p.get("/destroy", s)
	require.NoError(p.t, err, "%s destroys %s", p.Name, s.reference())
}

func (p *process) usage() usage {
	p.t.Helper()
	var u usage
	require.NoError(p.t, p.ask("/usage", &u), "%s", p.Name)
	return u
}

// stacks returns how many goroutines of the process are where.
func (p *process) stacks() map[string]int {
	p.t.Helper()
	var all map[string]int
	require.NoError(p.t, p.ask("/stacks", &all), "%s", p.Name)
	return all
}
