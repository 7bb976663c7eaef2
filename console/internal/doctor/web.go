// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// etcd says some things over HTTP to whoever asks, before anybody has logged in. Not
// every etcd does so at the port of its clients (--listen-client-http-urls).

// ask asks an endpoint over HTTP. began and ended are when.
func (d *doctor) ask(ctx context.Context, endpoint, path string, into any) (header http.Header, began, ended time.Time, err error) {
	ctx, cancel := short(ctx)
	defer cancel()
	scheme := "http"
	transport := &http.Transport{DisableKeepAlives: true}
	if d.secure != nil {
		scheme, transport.TLSClientConfig = "https", d.secure.Clone()
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, scheme+"://"+endpoint+path, nil)
	if err != nil {
		return nil, began, ended, err
	}
	began = time.Now()
	response, err := (&http.Client{Transport: transport}).Do(request)
	ended = time.Now()
	if err != nil {
		return nil, began, ended, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1<<20))
	if err != nil {
		return nil, began, ended, err
	}
	if err := json.Unmarshal(body, into); err != nil {
		return nil, began, ended, fmt.Errorf("%s: %s is no JSON", path, response.Status)
	}
	return response.Header, began, ended, nil
}

// The versions of etcd that matter.
const (
	oldest   = 4 // 3.4: watches in fragments and asked for progress
	kept     = 5 // older ones get no mends from etcd's developers
	newest   = 6 // that it is tested with
	testedBy = "3.6"
)

func (d *doctor) versions(ctx context.Context) bool {
	seen := map[string]string{} // version → an endpoint
	usable := false
	for _, endpoint := range d.endpoints {
		var version struct{ EtcdServer string }
		if _, _, _, err := d.ask(ctx, endpoint, "/version", &version); err != nil {
			d.say(Skipped, "version", "", "%s does not tell its version over HTTP: %v", endpoint, reason(err))
			usable = true
			continue
		}
		seen[version.EtcdServer] = endpoint
		status, text, do := ofVersion(version.EtcdServer)
		d.say(status, "version", do, "%s is %s", endpoint, text)
		usable = usable || status != Failed
	}
	if len(seen) > 1 {
		d.say(Warning, "version", "finish the upgrade", "the members have %d different versions", len(seen))
	}
	return usable
}

// ofVersion judges one, as "3.6.14".
func ofVersion(version string) (s Status, text, do string) {
	major, rest, _ := strings.Cut(version, ".")
	minor, _, _ := strings.Cut(rest, ".")
	n, err := strconv.Atoi(minor)
	text = "etcd " + version
	switch {
	case major != "3" || err != nil:
		return Failed, fmt.Sprintf("%q, which is no etcd 3", version), "use etcd " + testedBy
	case n < oldest:
		return Failed, text + ", which is too old", "upgrade it, one minor version at a time, to " + testedBy
	case n < kept:
		return Warning, text + ", which gets no mends any more", "upgrade it, one minor version at a time, to " + testedBy
	case n > newest:
		return Warning, text + ", newer than what the registry is tested with", "should something be odd, try it with etcd " + testedBy
	}
	return OK, text, ""
}

func (d *doctor) leader(ctx context.Context) bool {
	var usable []string
	for _, endpoint := range d.endpoints {
		var health struct{ Health, Reason string }
		_, _, _, err := d.ask(ctx, endpoint, "/health?exclude=NOSPACE&exclude=CORRUPT", &health)
		switch {
		case err != nil:
			d.say(Skipped, "leader", "", "%s does not tell its health over HTTP: %v", endpoint, reason(err))
		case health.Health == "true":
			d.say(OK, "leader", "", "%s knows a leader", endpoint)
		default:
			d.say(Failed, "leader", "have most of the members run and reach each other: etcdctl endpoint status --cluster",
				"%s can do nothing: %s", endpoint, health.Reason)
			continue
		}
		usable = append(usable, endpoint)
	}
	d.endpoints = usable
	return len(usable) > 0
}

// clockApart is how far clocks may be apart. Leases do not depend on it; certificates
// and tokens do, and who reads the logs of both.
const clockApart = 5 * time.Second

func (d *doctor) clocks(ctx context.Context) bool {
	for _, endpoint := range d.endpoints {
		var version any
		header, began, ended, err := d.ask(ctx, endpoint, "/version", &version)
		if err == nil {
			var there time.Time
			if there, err = http.ParseTime(header.Get("Date")); err == nil {
				d.apart(endpoint, difference(there, began, ended))
			}
		}
		if err != nil {
			d.say(Skipped, "clock", "", "%s does not tell its time: %v", endpoint, reason(err))
		}
	}
	return true
}

func (d *doctor) apart(endpoint string, by time.Duration) {
	switch {
	case by > clockApart:
		d.say(Warning, "clock", "have both follow NTP", "the clock of %s is %v ahead of the one here", endpoint, by.Round(time.Second))
	case by < -clockApart:
		d.say(Warning, "clock", "have both follow NTP", "the clock of %s is %v behind the one here", endpoint, -by.Round(time.Second))
	default:
		d.say(OK, "clock", "", "the clock of %s is that of this machine, within %v", endpoint, clockApart)
	}
}

// difference is how far a server that said its time, in whole seconds, between two
// moments is ahead; as little as can be.
func difference(there, began, ended time.Time) time.Duration {
	switch {
	case there.After(ended):
		return there.Sub(ended)
	case there.Add(time.Second).Before(began):
		return there.Add(time.Second).Sub(began)
	}
	return 0
}
