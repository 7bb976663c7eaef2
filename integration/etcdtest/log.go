// SPDX-License-Identifier: Apache-2.0

package etcdtest

import (
	"bytes"
	"os"
	"slices"
)

// tailLines is how much of a server's log a failed test shows.
const tailLines = 40

// tail returns the last lines of a log, without what etcd says to being asked
// for its health while it starts.
func tail(path string) []byte {
	log, err := os.ReadFile(path)
	if err != nil {
		return []byte(err.Error())
	}
	lines := slices.DeleteFunc(bytes.SplitAfter(log, []byte("\n")), func(line []byte) bool {
		return bytes.Contains(line, []byte("/health"))
	})
	if len(lines) > tailLines {
		lines = lines[len(lines)-tailLines:]
	}
	return bytes.Join(lines, nil)
}

// logContains looks for text in the log from the offset on.
func logContains(path string, from int64, text string) bool {
	log, err := os.ReadFile(path)
	return err == nil && from <= int64(len(log)) && bytes.Contains(log[from:], []byte(text))
}
