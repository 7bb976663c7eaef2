// SPDX-License-Identifier: Apache-2.0

package cachefile

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// children are the parts that this test binary plays in a process of its own:
// see TestMain.
var children = map[string]func(args []string) int{
	"save": saveMany,
	"loop": saveForEver,
}

const (
	processes = 6
	services  = 15 // of each process
)

// padding makes a save large enough to be seen, or killed, in the middle.
var padding = []string{strings.Repeat("dubbo://10.0.0.1:20880/org.example.Greeter?a=b&c=d ", 200)}

func child(t *testing.T, part string, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(exe, args...)
	cmd.Env = append(os.Environ(), childEnv+"="+part)
	cmd.Stderr = os.Stderr
	return cmd
}

// saveMany sets the services of process args[1], each in a save of its own,
// and one that all processes set.
func saveMany(args []string) int {
	path, process := args[0], args[1]
	f := Open(path, Config{Immediate: true, Delay: 50 * time.Millisecond})
	for i := range services {
		f.Set(fmt.Sprintf("service%s.%d", process, i), []string{"dubbo://" + process, "dubbo://10.0.0.1:20880/x"})
		f.Set("shared", []string{process, strconv.Itoa(i)})
		time.Sleep(time.Duration(i%3) * time.Millisecond) // lets the others have the lock
	}
	// Close waits for two seconds only, and the others may have the lock whenever it is
	// tried until they are done.
	for errors.Is(f.saver.attempt(), errBusy) {
		time.Sleep(jitter(10 * time.Millisecond))
	}
	f.Close()
	for _, l := range logs.about("WARN", path) {
		if !strings.Contains(l, "cannot be saved: another process") { // for long: the others never pause
			fmt.Fprintln(os.Stderr, l)
			return 2
		}
	}
	return 0
}

func TestProcessesThatSaveAtOnceLoseNothing(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	var running []*exec.Cmd
	for i := range processes {
		cmd := child(t, "save", path, strconv.Itoa(i))
		require.NoError(t, cmd.Start())
		running = append(running, cmd)
	}
	stopReading := readAllTheWhile(t, path)
	for _, cmd := range running {
		require.NoError(t, cmd.Wait())
	}
	require.Positive(t, stopReading())

	entries := inFile(t, path)
	require.Len(t, entries, processes*services+1)
	for i := range processes {
		for j := range services {
			require.True(t, strings.HasPrefix(entries[fmt.Sprintf("service%d.%d", i, j)], fmt.Sprintf("dubbo://%d ", i)))
		}
	}
	requireNoTemporaryFiles(t, path)
}

// readAllTheWhile fails the test when the file is ever torn. The function that
// it returns says how often the file was read.
func readAllTheWhile(t *testing.T, path string) (stop func() int) {
	stopped, reads := make(chan struct{}), make(chan int)
	go func() {
		n, before := 0, 0
		for {
			select {
			case <-stopped:
				reads <- n
				return
			default:
			}
			data, err := os.ReadFile(path)
			if errors.Is(err, fs.ErrNotExist) && n == 0 {
				continue
			}
			entries, parseErr := parse(data)
			if err != nil || parseErr != nil || len(entries) < before {
				t.Errorf("the file was torn: %v, %v, %d entries after %d", err, parseErr, len(entries), before)
			}
			n, before = n+1, len(entries)
		}
	}()
	stop = sync.OnceValue(func() int { close(stopped); return <-reads })
	t.Cleanup(func() { stop() })
	return stop
}

func requireNoTemporaryFiles(t *testing.T, path string) {
	t.Helper()
	siblings, err := os.ReadDir(strings.TrimSuffix(path, path[strings.LastIndexAny(path, `/\`):]))
	require.NoError(t, err)
	require.Len(t, siblings, 2, "the file and its lock: %v", siblings)
}

// saveForEver tells on its output that it has begun.
func saveForEver(args []string) int {
	f := Open(args[0], Config{Immediate: true})
	for i := 0; ; i++ {
		f.Set("counter", append([]string{strconv.Itoa(i)}, padding...))
		fmt.Println(i)
	}
}

func TestAKilledProcessLeavesAWholeFile(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	write(t, path, "other=1\n")
	for i := range 15 {
		cmd := child(t, "loop", path)
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		lines := bufio.NewScanner(out)
		for range 3 + i {
			require.True(t, lines.Scan(), "the child saves")
		}
		time.Sleep(time.Duration(i) * 300 * time.Microsecond) // at another point of its loop
		require.NoError(t, cmd.Process.Kill())
		_ = cmd.Wait()

		entries := inFile(t, path)
		require.Equal(t, "1", entries["other"])
		require.Len(t, splitURLs(entries["counter"]), 201)
	}
	f := open(t, path, Config{Immediate: true})
	f.Set("mine", nil)
	require.Len(t, inFile(t, path), 3, "the lock of a killed process is free")
	require.Empty(t, logs.about("WARN", path))
}
