// SPDX-License-Identifier: Apache-2.0

package layout

import (
	"strconv"
	"strings"
	"testing"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/urltest"
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
		for _, category := range Categories {
			f.Add("/dubbo/org.example.Greeter/" + category + "/" + Encode(raw))
		}
		f.Add(raw)
	}
	f.Add("/dubbo/org.example.Greeter/configurators/" + Encode("override://0.0.0.0/org.example.Greeter?weight=1"))
	f.Add("/dubbo/org.example.Greeter/consumers/" + Encode("consumer://10.0.0.2/org.example.Greeter?protocol=tri"))
	f.Add("/dubbo//providers/x")

	f.Fuzz(func(t *testing.T, key string) {
		category, encoded, ok := Split("/dubbo", key)
		if !ok {
			return
		}
		u, err := Parse(category, encoded)
		if err != nil {
			return
		}
		if category == Providers && u.Ip == "" {
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
	key, err := KeyOf("/dubbo", u)
	if err != nil || !speakable(u) {
		return
	}
	gotCategory, encoded, ok := Split("/dubbo", key.Name)
	if !ok || gotCategory != category {
		t.Fatalf("%v was registered as %q, which is no entry of %s", u, key.Name, category)
	}
	again, err := Parse(category, encoded)
	if err != nil {
		t.Fatalf("%v was registered as %q, which cannot be read: %v", u, key.Name, err)
	}
	wantProtocol := u.Protocol
	if category == Consumers {
		wantProtocol = constant.Consumer
	}
	if again.Protocol != wantProtocol || again.Ip != u.Ip || again.Port != u.Port || again.Service() != u.Service() {
		t.Errorf("%v was registered as %q and read back as %v", u, key.Name, again)
	}
	for name := range u.CopyParams() {
		// An empty value is as good as none.
		if want, got := u.GetParam(name, ""), again.GetParam(name, ""); want != "" && want != got && !(category == Providers && name == constant.AnyhostKey) {
			t.Errorf("parameter %q was %q, registered as %q, and read back as %q", name, want, key.Name, got)
		}
	}
	once, err := KeyOf("/dubbo", again)
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
		(u.Port != "" && IsIPv6(u.Ip) || u.Ip != "" && !strings.Contains(u.Ip, ":"))
}

// A provider with any service, host and parameter value is read back from its
// key as it was.
func FuzzURLToKeyAndBack(f *testing.F) {
	f.Add("tri", "10.0.0.1", uint16(20000), urltest.Greeter, "group", "blue")
	f.Add("dubbo", "2001:db8::1", uint16(1), "org.example.Outer$Greeter", "x", "100% a+b;c#d")
	f.Add("dubbo", "host", uint16(0), "a.B", "a b", "~*é世界😀\n\x7f")
	f.Add("rest", "10.0.0.1", uint16(80), "a,b", "", ", ,")
	f.Fuzz(func(t *testing.T, protocol, host string, port uint16, service, name, value string) {
		u := urltest.URL(protocol, host, strconv.Itoa(int(port)), "path", constant.InterfaceKey, service)
		u.SetParam(name, value)
		key, err := KeyOf("/dubbo", u)
		if err != nil {
			if u.Service() != "" {
				t.Fatalf("%v has no key: %v", u, err)
			}
			return
		}
		if strings.Count(key.Name, "/") < 4 || key.Parent == "" || !strings.HasPrefix(key.Name, key.Parent+"/") {
			t.Fatalf("%v was registered as %+v", u, key)
		}
		category, encoded, ok := Split("/dubbo", key.Name)
		if !ok {
			if u.GetParam(constant.CategoryKey, "") == "" {
				t.Fatalf("%v was registered as %q, which is no entry", u, key.Name)
			}
			return
		}
		read, err := Parse(category, encoded)
		if !isProtocol(protocol) || !isHost(host) || !speakable(u) {
			return // not to panic is all that is asked
		}
		if err != nil {
			t.Fatalf("%v was registered as %q, which cannot be read: %v", u, key.Name, err)
		}
		if read.GetParam(name, "") != value && value != "" && !(category == Providers && name == constant.AnyhostKey) {
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
	return s != "" && (IsIPv6(s) || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789.-") == "")
}
