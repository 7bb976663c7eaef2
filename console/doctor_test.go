// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
)

// runProgram runs the console to its end.
func runProgram(t *testing.T, args ...string) (exit int, stdout string) {
	t.Helper()
	cmd := exec.Command(binary(t, "console"), args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		var ended *exec.ExitError
		require.ErrorAs(t, err, &ended)
	}
	return cmd.ProcessState.ExitCode(), string(out)
}

func TestDoctorReadsTheConfigurationAndTellsScripts(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	path := filepath.Join(t.TempDir(), "dubbo.yaml")
	configure := func(address, session string) {
		require.NoError(t, os.WriteFile(path, fmt.Appendf(nil,
			"dubbo:\n  application: {name: shop}\n  registries:\n    main: {protocol: etcdv3, address: '%s', params: {session: %s}}\n    zk: {protocol: zookeeper, address: '127.0.0.1:2181'}\n",
			address, session), 0o600))
	}

	configure(etcd.Endpoint(), "20s")
	exit, out := runProgram(t, "doctor", "-config", path)
	require.Equal(t, 0, exit, out)
	require.Contains(t, out, "registry main of shop: etcd at "+etcd.Endpoint()+", registry-type service, session 20s")
	require.Contains(t, out, "ok       session     session=20s")

	exit, out = runProgram(t, "doctor", "-config", path, "-json")
	require.Equal(t, 0, exit, out)
	var examinations []examination
	require.NoError(t, json.Unmarshal([]byte(out), &examinations))
	require.Len(t, examinations, 1, "the other registry is not on etcd")
	require.Equal(t, "main", examinations[0].Registry)
	require.True(t, examinations[0].Healthy)

	configure(etcdtest.Reserve(t).Endpoint(), "20s")
	exit, out = runProgram(t, "doctor", "-config", path, "-json")
	require.Equal(t, exitFailed, exit, out)
	require.NoError(t, json.Unmarshal([]byte(out), &examinations))
	require.False(t, examinations[0].Healthy)

	for _, address := range []string{"http://" + etcd.Endpoint(), "zookeeper://" + etcd.Endpoint(), etcd.Endpoint() + ",http://" + etcd.Endpoint()} {
		configure(address, "20s")
		exit, _ = runProgram(t, "doctor", "-config", path)
		require.Equal(t, exitUsage, exit, address)
	}
	configure("etcdv3://"+etcd.Endpoint(), "20s")
	exit, out = runProgram(t, "doctor", "-config", path)
	require.Equal(t, 0, exit, out)
	configure(etcd.Endpoint(), "soon")
	exit, _ = runProgram(t, "doctor", "-config", path)
	require.Equal(t, exitUsage, exit)
	exit, _ = runProgram(t, "doctor", "-etcd", etcd.Endpoint(), "-frobnicate")
	require.Equal(t, exitUsage, exit)
	exit, _ = runProgram(t, "doktor")
	require.Equal(t, exitUsage, exit)
}

func TestHelpNamesAllCommands(t *testing.T) {
	t.Parallel()
	out, err := exec.Command(binary(t, "console"), "-h").CombinedOutput()
	require.NoError(t, err)
	for _, want := range []string{"console doctor ", "console gc ", "-etcd", "-addr"} {
		require.Contains(t, string(out), want)
	}
}
