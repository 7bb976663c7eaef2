// SPDX-License-Identifier: Apache-2.0

package delivery

import (
	"context"
	"slices"
	"sync"
)

// Turns has those who name the same thing go one after another. The zero value
// is ready.
type Turns struct {
	mu    sync.Mutex // guards what follows
	turns map[string]*turn
}

// turn is that of one name.
type turn struct {
	held  chan struct{} // has a value while somebody has the turn
	users int           // who has it or waits for it
}

// Take waits for the turn of all names, and returns what gives it back; ok is
// false if ctx ended first. A name may stand there twice. Who has a turn must not
// take another one.
func (t *Turns) Take(ctx context.Context, names ...string) (release func(), ok bool) {
	names = slices.Clone(names)
	slices.Sort(names) // the same order for everybody: no two wait for each other
	var taken []string
	release = func() {
		for _, name := range taken {
			t.leave(name, true)
		}
	}
	for _, name := range slices.Compact(names) {
		select {
		case t.join(name).held <- struct{}{}:
			taken = append(taken, name)
		case <-ctx.Done():
			t.leave(name, false)
			release()
			return nil, false
		}
	}
	return release, true
}

func (t *Turns) join(name string) *turn {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.turns == nil {
		t.turns = map[string]*turn{}
	}
	if t.turns[name] == nil {
		t.turns[name] = &turn{held: make(chan struct{}, 1)}
	}
	t.turns[name].users++
	return t.turns[name]
}

func (t *Turns) leave(name string, held bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if held {
		<-t.turns[name].held
	}
	if t.turns[name].users--; t.turns[name].users == 0 {
		delete(t.turns, name)
	}
}
