// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestConsoleShowsTheQuickstartByTheCommandThatItPrints(t *testing.T) {
	t.Parallel()
	quickstart := startProgram(t, "quickstart", "-keep")
	const command = "go run ./console"
	quickstart.requireOutput(command)
	_, args, _ := strings.Cut(quickstart.output(), command)
	args, _, _ = strings.Cut(args, "\n")

	console := startProgram(t, "console", append(strings.Fields(args), "-addr", "127.0.0.1:0")...)
	console.requireOutput("is shown on")
	page := regexp.MustCompile(`http://\S+/`).FindString(console.output())

	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
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

	quickstart.interrupt()
	console.interrupt() // while etcd is away, and a page is open
	require.Equal(t, 0, console.cmd.ProcessState.ExitCode(), console.output())
}
