// SPDX-License-Identifier: Apache-2.0

package etcdv3registry

import (
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/layout"
)

// Whatever an address and a parameter say, the outcome is settings that can be
// used, or an error that names what is wrong, and that shows no password.
func FuzzRegistryURLToSettings(f *testing.F) {
	for _, address := range []string{
		"127.0.0.1:2379", "a,b:1", "http://a:1,https://b", "etcdv3://a:1?backup=b:2,c:3", "[::1]:1", "::1", "", "root@a", "a:+1", "a:1?x=%zz", "[fe80::1%eth0]:1",
	} {
		for _, p := range []string{"session", "registry.group", "retry.times", "backup", "check", "unknown", "registry.timeout"} {
			f.Add(address, p, "5s", "pa,ss@wo:rd")
			f.Add(address, p, "-18446744073700", "")
			f.Add(address, p, "/a//b", "?x=y://")
		}
	}
	f.Fuzz(func(t *testing.T, address, name, value, password string) {
		const mark = "p4ssw0rd"
		if strings.Contains(address+name+value, mark) || slices.Contains([]string{"ca-cert-file", "tls-cert-file", "tls-key-file", "password-file"}, name) {
			return // it would read a file that somebody has
		}
		password = mark + password + mark
		plain := common.NewURLWithOptions(common.WithParamsValue(name, value))
		plain.Location = address
		configured := plain.Clone()
		configured.Username, configured.Password = "root", password
		inAddress := plain.Clone()
		inAddress.Location = "root:" + password + "@" + address
		inBackup := plain.Clone()
		inBackup.SetParam(constant.BackupKey, "root:"+password+"@"+value)
		for _, u := range []*common.URL{plain, configured, inAddress, inBackup} {
			before := u.String()
			s, err := newSettings(u, inRegistry)
			if u.String() != before {
				t.Errorf("reading %q with %s=%q changed the URL to %q", u.Location, name, value, u)
			}
			if err == nil {
				usable(t, s, u)
				continue
			}
			if strings.Contains(err.Error(), mark) {
				t.Errorf("the error for %q with %s=%q shows the password: %v", u.Location, name, value, err)
			}
			if !slices.ContainsFunc([]string{"parameter ", "parameters ", "address ", "user name ", "password ", "TLS", "http"}, func(s string) bool {
				return strings.Contains(err.Error(), s)
			}) {
				t.Errorf("the error for %q with %s=%q names nothing: %v", u.Location, name, value, err)
			}
		}
	})
}

func usable(t *testing.T, s settings, u *common.URL) {
	t.Helper()
	for _, endpoint := range s.Cluster.Endpoints {
		host, port, err := net.SplitHostPort(endpoint)
		if err != nil || host == "" {
			t.Errorf("endpoint %q of %q is not host:port: %v", endpoint, u.Location, err)
		}
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			t.Errorf("port %q of endpoint %q of %q is none: %v", port, endpoint, u.Location, err)
		}
		if strings.ContainsAny(endpoint, ", \t\r\n@/") && !layout.IsIPv6(host) {
			t.Errorf("endpoint %q of %q is not one host", endpoint, u.Location)
		}
	}
	if len(s.Cluster.Endpoints) == 0 {
		t.Errorf("%q was read as no endpoint", u.Location)
	}
	if !strings.HasPrefix(s.root(), "/") || strings.HasSuffix(s.root(), "/") || strings.Contains(s.root(), "//") {
		t.Errorf("the root %q has empty path segments", s.root())
	}
	if s.Timeout <= 0 || s.Cluster.Session <= 0 || s.Cluster.Retry == nil {
		t.Errorf("unusable settings %+v", s)
	}
	if (s.Cluster.Username == "") != (s.Cluster.Password == "") {
		t.Errorf("%q was read as half of the credentials", u.Location)
	}
}
