// SPDX-License-Identifier: Apache-2.0

package etcdtest

import (
	"fmt"
	"os/exec"
	"strings"
)

// Shell runs commands of a shell, in which etcdctl and etcdutl are those of this server,
// and ends the test if one fails. env has more variables, as "NAME=value".
func (s *Server) Shell(commands string, env ...string) (output string) {
	s.t.Helper()
	etcdctl, err := command()
	if err != nil {
		s.t.Fatal(err)
	}
	functions := fmt.Sprintf("etcdctl() { '%s' \"$@\"; }\n", etcdctl)
	if strings.Contains(commands, "etcdutl") { // few need it, and it has to be built
		etcdutl, err := utility()
		if err != nil {
			s.t.Fatal(err)
		}
		functions += fmt.Sprintf("etcdutl() { '%s' \"$@\"; }\n", etcdutl)
	}
	cmd := exec.Command("sh", "-eu")
	cmd.Stdin = strings.NewReader(functions + commands)
	cmd.Env = append(append(envWithoutEtcd(), "ETCDCTL_ENDPOINTS="+s.URL()), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("run\n%s\nwith etcdctl: %v\n%s", commands, err, out)
	}
	return string(out)
}
