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
)

// Whatever a key is, reading it does not panic. What can be read has an
// address, is what was asked for, and means the same when it is registered
// again.
func FuzzKeyToURL(f *testing.F) {
	for _, raw := range []string{
		"tri://10.0.0.1:20000/org.example.Greeter?anyhost=true&interface=org.example.Greeter&methods=Greet&timestamp=1",
		"dubbo://alice:pw@[2001:db8::1]:20880/org.example.Greeter?x=100%&y=a+b;c#d&z=",
		"dubbo://2001:db8:0:0:0:0:0:1:20880/org.example.Greeter", "dubbo://host/a%zz#b?x=y", "dubbo://a,b:1/x?a=1&a=2&&=&=x", "?://", "",
	} {
		for _, category := range categories {
			f.Add("/dubbo/org.example.Greeter/" + category + "/" + encode(raw))
		}
		f.Add(raw)
	}
	f.Add("/dubbo/org.example.Greeter/configurators/" + encode("override://0.0.0.0/org.example.Greeter?weight=1"))
	f.Add("/dubbo/org.example.Greeter/consumers/" + encode("consumer://10.0.0.2/org.example.Greeter?protocol=tri"))
	f.Add("/dubbo//providers/x")

	everything := newQuery(urlOf("admin", "", "", "*", "interface", "*", "group", "*", "version", "*", "category", "*", "enabled", "*"))
	one := newQuery(subscriptionURL("category", "*", "protocol", "tri"))
	f.Fuzz(func(t *testing.T, key string) {
		if u, err := one.view("/dubbo").Read(key); u != nil && err == nil {
			if service := u.Service(); service != greeter && service != constant.AnyValue {
				t.Errorf("the subscription to %s is told of %s by %q", greeter, service, key)
			}
			_ = one.view("/dubbo").ID(key, u)
		}
		u, err := everything.view("/dubbo").Read(key)
		if u == nil || err != nil {
			return
		}
		category, _, ok := splitKey("/dubbo", key)
		if !ok {
			t.Fatalf("%q is no entry, but was read as %v", key, u)
		}
		if category == providers && u.Ip == "" {
			t.Errorf("%q was read as a provider without an address: %v", key, u)
		}
		registerAgain(t, category, u)
	})
}

// registerAgain registers a URL that was read from a key of a category: what is
// read back must mean the same, or be refused.
func registerAgain(t *testing.T, category string, u *common.URL) {
	t.Helper()
	u.SetParam(constant.CategoryKey, category)
	key, err := keyOf("/dubbo", u)
	if err != nil || !speakable(u) {
		return
	}
	gotCategory, encoded, ok := splitKey("/dubbo", key.Name)
	if !ok || gotCategory != category {
		t.Fatalf("%v was registered as %q, which is no entry of %s", u, key.Name, category)
	}
	again, err := parseURL(category, encoded)
	if err != nil {
		t.Fatalf("%v was registered as %q, which cannot be read: %v", u, key.Name, err)
	}
	wantProtocol := u.Protocol
	if category == consumers {
		wantProtocol = constant.Consumer
	}
	if again.Protocol != wantProtocol || again.Ip != u.Ip || again.Port != u.Port || again.Service() != u.Service() {
		t.Errorf("%v was registered as %q and read back as %v", u, key.Name, again)
	}
	for name := range u.CopyParams() {
		// An empty value is as good as none.
		if want, got := u.GetParam(name, ""), again.GetParam(name, ""); want != "" && want != got && !(category == providers && name == constant.AnyhostKey) {
			t.Errorf("parameter %q was %q, registered as %q, and read back as %q", name, want, key.Name, got)
		}
	}
	once, err := keyOf("/dubbo", again)
	if err != nil || once != key {
		t.Errorf("%v was registered as %q, read back, and registered as %q: %v", u, key.Name, once.Name, err)
	}
}

// speakable reports whether Dubbo's way of writing a URL (parameters without an
// encoding of their own, the path and the host as they are) can express it.
func speakable(u *common.URL) bool {
	for name, values := range u.CopyParams() {
		if values[0] != "" && strings.ContainsAny(name, "&=") || strings.Contains(values[0], "&") {
			return false
		}
	}
	control := func(r rune) bool { return r < ' ' || r == 0x7f }
	return !strings.ContainsAny(u.Path, "?#%") && !strings.ContainsFunc(u.Path, control) &&
		!strings.ContainsAny(u.Username+u.Password, "?#%/@:[] ") && !strings.ContainsAny(u.Ip, "?#%/@[] ,") &&
		!strings.Contains(u.Ip+u.Path+u.Username+u.Password, "�") &&
		(u.Port != "" && isIPv6(u.Ip) || u.Ip != "" && !strings.Contains(u.Ip, ":"))
}

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
		if strings.Contains(address+name+value, mark) || slices.Contains([]string{"ca-cert-file", "tls-cert-file", "tls-key-file"}, name) {
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
	for _, endpoint := range s.cluster.Endpoints {
		host, port, err := net.SplitHostPort(endpoint)
		if err != nil || host == "" {
			t.Errorf("endpoint %q of %q is not host:port: %v", endpoint, u.Location, err)
		}
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			t.Errorf("port %q of endpoint %q of %q is none: %v", port, endpoint, u.Location, err)
		}
		if strings.ContainsAny(endpoint, ", \t\r\n@/") && !isIPv6(host) {
			t.Errorf("endpoint %q of %q is not one host", endpoint, u.Location)
		}
	}
	if len(s.cluster.Endpoints) == 0 {
		t.Errorf("%q was read as no endpoint", u.Location)
	}
	if !strings.HasPrefix(s.root(), "/") || strings.HasSuffix(s.root(), "/") || strings.Contains(s.root(), "//") {
		t.Errorf("the root %q has empty path segments", s.root())
	}
	if s.timeout <= 0 || s.cluster.Session <= 0 || s.cluster.Retry == nil {
		t.Errorf("unusable settings %+v", s)
	}
	if (s.cluster.Username == "") != (s.cluster.Password == "") {
		t.Errorf("%q was read as half of the credentials", u.Location)
	}
}

// A provider with any service, host and parameter value is read back from its
// key as it was.
func FuzzURLToKeyAndBack(f *testing.F) {
	f.Add("tri", "10.0.0.1", uint16(20000), greeter, "group", "blue")
	f.Add("dubbo", "2001:db8::1", uint16(1), "org.example.Outer$Greeter", "x", "100% a+b;c#d")
	f.Add("dubbo", "host", uint16(0), "a.B", "a b", "~*é世界😀\n\x7f")
	f.Add("rest", "10.0.0.1", uint16(80), "a,b", "", ", ,")
	f.Fuzz(func(t *testing.T, protocol, host string, port uint16, service, name, value string) {
		u := urlOf(protocol, host, strconv.Itoa(int(port)), "path", constant.InterfaceKey, service)
		u.SetParam(name, value)
		key, err := keyOf("/dubbo", u)
		if err != nil {
			if u.Service() != "" {
				t.Fatalf("%v has no key: %v", u, err)
			}
			return
		}
		if strings.Count(key.Name, "/") < 4 || key.Parent == "" || !strings.HasPrefix(key.Name, key.Parent+"/") {
			t.Fatalf("%v was registered as %+v", u, key)
		}
		category, encoded, ok := splitKey("/dubbo", key.Name)
		if !ok {
			if u.GetParam(constant.CategoryKey, "") == "" {
				t.Fatalf("%v was registered as %q, which is no entry", u, key.Name)
			}
			return
		}
		read, err := parseURL(category, encoded)
		if !isProtocol(protocol) || !isHost(host) || !speakable(u) {
			return // not to panic is all that is asked
		}
		if err != nil {
			t.Fatalf("%v was registered as %q, which cannot be read: %v", u, key.Name, err)
		}
		if read.GetParam(name, "") != value && value != "" && !(category == providers && name == constant.AnyhostKey) {
			t.Errorf("%q=%q was registered as %q and read back as %q", name, value, key.Name, read.GetParam(name, ""))
		}
		if read.Ip != u.Ip || read.Port != u.Port || read.Service() != u.Service() {
			t.Errorf("%v was registered as %q and read back as %v", u, key.Name, read)
		}
	})
}

func isProtocol(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz") == ""
}

func isHost(s string) bool {
	return s != "" && (isIPv6(s) || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789.-") == "")
}
