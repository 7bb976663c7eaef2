// SPDX-License-Identifier: Apache-2.0

package examples_test

import (
	"bufio"
	"context"
	"net/http"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestConsoleShowsTheQuickstartByTheCommandThatItPrints(t *testing.T) {
	binary(t, "quickstart")         // all programs are built, and stay, outside of the
	t.Setenv("TMPDIR", t.TempDir()) // directory for dubbo-go's log
	quickstart := start(t, "quickstart", "-keep")
	const command = "go run ./examples/console"
	quickstart.requireLineFrom(0, command)
	_, args, _ := strings.Cut(strings.Join(quickstart.linesFrom(0), "\n"), command)
	args, _, _ = strings.Cut(args, "\n")

	console := start(t, "console", append(strings.Fields(args), "-addr", "127.0.0.1:0")...)
	console.requireLineFrom(0, "is shown on")
	page := regexp.MustCompile(`http://\S+/`).FindString(strings.Join(console.linesFrom(0), "\n"))

	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, page+"events", nil)
	require.NoError(t, err)
	events, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer events.Body.Close()
	// Of the providers C is there until the end.
	for lines := bufio.NewReader(events.Body); ; {
		line, err := lines.ReadString('\n')
		require.NoError(t, err)
		if strings.Contains(line, `"com.example.Greeter"`) && strings.Contains(line, `"greeter-C"`) {
			break
		}
	}

	quickstart.signal(syscall.SIGINT)
	quickstart.requireEnd()
	console.signal(syscall.SIGINT) // while etcd is away, and a page is open
	console.requireEnd()
	require.Equal(t, 0, console.cmd.ProcessState.ExitCode(), console.linesFrom(0))
}
