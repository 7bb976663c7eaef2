// SPDX-License-Identifier: Apache-2.0

package etcdtest

import (
	"fmt"
	"os/exec"
	"strings"
)

// Shell runs commands of a shell, in which etcdctl is that of this server, and ends the
// test if one fails. env has more variables, as "NAME=value".
func (s *Server) Shell(commands string, env ...string) (output string) {
	s.t.Helper()
	etcdctl, err := command()
	if err != nil {
		s.t.Fatal(err)
	}
	cmd := exec.Command("sh", "-eu")
	cmd.Stdin = strings.NewReader(fmt.Sprintf("etcdctl() { '%s' \"$@\"; }\n%s", etcdctl, commands))
	cmd.Env = append(append(envWithoutEtcd(), "ETCDCTL_ENDPOINTS="+s.URL()), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("run\n%s\nwith etcdctl: %v\n%s", commands, err, out)
	}
	return string(out)
}
