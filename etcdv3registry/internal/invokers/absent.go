// SPDX-License-Identifier: Apache-2.0

package invokers

import (
	"maps"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/dubbogo/gost/log/logger"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
)

const (
	// worthALine is after how many tries in a row, the first of them in one or two
	// seconds, the log is told: most of those who are about to stop are gone by then.
	worthALine = 5
	// inVain is how often the directory is told again of somebody who can be reached
	// before it is not expected to take him any more: in that time it takes whoever it
	// has ended as he was about to stop.
	inVain = 8
	// seldom is how long after that he is tried next, twice as long each time; at most
	// seldomAtMost.
	seldom       = time.Minute
	seldomAtMost = 10 * time.Minute
)

// Absent is whom a service's directory lacks, look after look. It is for one goroutine at
// a time; Service is to be set.
type Absent struct {
	Service string

	lacks    int             // at the last look
	tries    int             // in a row, at which it lacked somebody
	schedule backoff.BackOff // of those
	refused  map[string]refusal
}

// refusal is of somebody whom the directory does not take although he can be reached.
type refusal struct {
	times int
	next  time.Time // when he is tried
}

// Look takes in who of all providers is missing, and reports whether there is another plan
// than before: somebody is missing who was not, or somebody is not any more.
func (a *Absent) Look(missing map[string]Endpoint, all int) (another bool) {
	another = len(missing) != a.lacks
	a.lacks = len(missing)
	maps.DeleteFunc(a.refused, func(id string, _ refusal) bool { _, is := missing[id]; return !is })
	if a.lacks == 0 {
		if a.tries >= worthALine {
			logger.Infof("[etcdv3] all %d provider(s) of %s can be called", all, a.Service)
		}
		a.tries = 0
	}
	if another {
		a.schedule = nil
	}
	return another
}

// Next is in how long those who are missing are to be tried.
func (a *Absent) Next() time.Duration {
	if a.schedule == nil {
		a.schedule = retry.Backoff(200*time.Millisecond, 10*time.Second).BackOff()
	}
	return a.schedule.NextBackOff()
}

// Try returns those of the missing who are to be tried now.
func (a *Absent) Try(missing map[string]Endpoint, all int) map[string]Endpoint {
	if a.tries++; a.tries == worthALine {
		logger.Warnf("[etcdv3] %d of %d provider(s) of %s cannot be called: there is no connection to them, or they are about to stop; tried again in the background",
			len(missing), all, a.Service)
	}
	if len(a.refused) == 0 {
		return missing
	}
	due := make(map[string]Endpoint, len(missing))
	for id, e := range missing {
		if time.Now().After(a.refused[id].next) {
			due[id] = e
		}
	}
	return due
}

// Told notes who could be reached, and of whom the directory is told again.
func (a *Absent) Told(ids []string) {
	if a.refused == nil {
		a.refused = map[string]refusal{}
	}
	given := 0
	for _, id := range ids {
		r := a.refused[id]
		if r.times++; r.times >= inVain {
			r.next = time.Now().Add(min(seldom<<min(r.times-inVain, 4), seldomAtMost))
		}
		if r.times == inVain {
			given++
		}
		a.refused[id] = r
	}
	if given > 0 {
		logger.Warnf("[etcdv3] %d provider(s) of %s can be reached, but dubbo-go does not take them, its own log says why; from now on they are tried every few minutes", given, a.Service)
	}
}
