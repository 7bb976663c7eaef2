// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"time"

	"github.com/dubbo-go-contrib/registry-etcdv3/examples/greeter"
)

// tally is what became of a series of calls.
type tally struct {
	answered map[string]int       // by provider
	last     map[string]time.Time // when each provider answered last
	failed   int
	err      error // of the last call that failed
}

// callWhile calls the service, one call after another, until it is told to
// stop. Calls that fail are counted; it fails when it goes on for too long.
func (d *demo) callWhile(goOn func(*tally) bool) (*tally, error) {
	c := &tally{answered: map[string]int{}, last: map[string]time.Time{}}
	for begin := time.Now(); goOn(c); time.Sleep(10 * time.Millisecond) {
		if d.ctx.Err() != nil {
			return c, d.ctx.Err()
		}
		if time.Since(begin) > patience {
			return c, fmt.Errorf("waited for %v; calls answered: %v, failed: %d, last error: %w", patience, c.answered, c.failed, c.err)
		}
		answer, err := d.greeter.Greet(d.ctx, "world")
		if err != nil {
			c.failed++
			c.err = fmt.Errorf("a call failed: %w", err)
			continue
		}
		from := greeter.AnsweredBy(answer)
		c.answered[from]++
		c.last[from] = time.Now()
	}
	return c, nil
}

// since is how long after begin something was.
func since(begin, at time.Time) string {
	d := at.Sub(begin)
	if d < 100*time.Millisecond {
		return d.Round(time.Millisecond).String()
	}
	return fmt.Sprintf("%.1fs", d.Seconds())
}
