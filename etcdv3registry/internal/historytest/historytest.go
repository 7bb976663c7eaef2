// SPDX-License-Identifier: Apache-2.0

// Package historytest reads bytes as what happens in a test: those of a fuzzer, or of a
// seed.
package historytest

import "math/rand/v2"

// Script is what is still to happen.
type Script []byte

// Random is the script of a seed, which has up to so many bytes.
func Random(seed uint64, longest int) Script {
	random := rand.New(rand.NewPCG(seed, 1))
	s := make(Script, 10+random.IntN(longest-10))
	for i := range s {
		s[i] = byte(random.Uint32())
	}
	return s
}

// Next takes a choice out of so many, at most 256, off the script; 0 at its end.
func (s *Script) Next(of int) int {
	if len(*s) == 0 {
		return 0
	}
	b := (*s)[0]
	*s = (*s)[1:]
	return int(b) % of
}
