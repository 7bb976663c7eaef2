// SPDX-License-Identifier: Apache-2.0

package etcdv3registry

import (
	"testing"

	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"github.com/stretchr/testify/assert"
)

func TestAddressesAsDubboGoHandsThemOver(t *testing.T) {
	t.Parallel()
	for address, want := range map[string][]string{
		"127.0.0.1:2379":                    {"127.0.0.1:2379"},
		"etcd":                              {"etcd:2379"},
		"etcd.example.com:12379":            {"etcd.example.com:12379"},
		"a:1,b:2,c:3":                       {"a:1", "b:2", "c:3"},
		"a:1, b:2 ,c:3":                     {"a:1", "b:2", "c:3"},
		"a,b,c":                             {"a:2379", "b:2379", "c:2379"},
		"a:1,,b:2,":                         {"a:1", "b:2"},
		"a:1,b:2,a:1":                       {"a:1", "b:2"},
		"a,b,a:2379":                        {"a:2379", "b:2379"},
		"http://a:1":                        {"a:1"},
		"https://a":                         {"a:2379"},
		"http://a:1/":                       {"a:1"},
		"etcdv3://a:1":                      {"a:1"},
		"etcd3://a:1":                       {"a:1"},
		"etcdv3://a:1,b:2":                  {"a:1", "b:2"},
		"a:1,http://b:2":                    {"a:1", "b:2"},
		"[::1]:2379":                        {"[::1]:2379"},
		"http://[2001:db8::1]:1":            {"[2001:db8::1]:1"},
		"etcdv3://a:1?backup=b:2,c:3":       {"a:1", "b:2", "c:3"},
		"etcdv3://a:1?backup=b:2,c":         {"a:1", "b:2", "c:2379"},
		"etcdv3://a?backup=b":               {"a:2379", "b:2379"},
		"a:1?backup=b:2,c:3":                {"a:1", "b:2", "c:3"},
		"etcdv3://a:1/?backup=b:2":          {"a:1", "b:2"},
		"etcdv3://a:1?x=y&backup=b:2":       {"a:1", "b:2"},
		"etcdv3://a:1?backup=":              {"a:1"},
		"etcdv3://a:1?backup=[::1]:2,[::2]": {"a:1", "[::1]:2", "[::2]:2379"},
		"etcdv3://a:1?backup=b%3A2":         {"a:1", "b:2"},
	} {
		s, err := newSettings(registryConfig{address: address}.url(t), inRegistry)
		if assert.NoError(t, err, address) {
			assert.Equal(t, want, s.Cluster.Endpoints, address)
		}
	}
}

// dubbo-go refuses some of these before they reach the registry; what else
// builds a registry URL need not.
func TestAddressesHoweverTheyAreWritten(t *testing.T) {
	t.Parallel()
	for address, want := range map[string][]string{
		"a:1 b:2":                      {"a:1", "b:2"},
		" a:1 , b:2 ":                  {"a:1", "b:2"},
		"a:1;b:2":                      {"a:1", "b:2"},
		"a:1\n\tb:2":                   {"a:1", "b:2"},
		"http://a:1,http://b:2":        {"a:1", "b:2"},
		"https://a:1 etcdv3://b:2 c:3": {"a:1", "b:2", "c:3"},
		"::1":                          {"[::1]:2379"},
		"[::1]":                        {"[::1]:2379"},
		"[::1]:1,[2001:db8::2]:2":      {"[::1]:1", "[2001:db8::2]:2"},
		"[::ffff:10.0.0.1]:1":          {"[::ffff:10.0.0.1]:1"},
		"[fe80::1%eth0]:1":             {"[fe80::1%eth0]:1"},
		"a_b-c.d:65535":                {"a_b-c.d:65535"},
		"a:1,b:2,c":                    {"a:1", "b:2", "c:2379"},
		"etcd\u00fc.example:1":         {"etcd\u00fc.example:1"},
	} {
		a, err := parseAddresses(address)
		if assert.NoError(t, err, address) {
			assert.Equal(t, want, a.endpoints, address)
		}
	}
}

func TestBackupParameterOfTheConfigAddsAddresses(t *testing.T) {
	t.Parallel()
	for backup, want := range map[string][]string{
		"b:2":          {"a:1", "b:2"},
		"b:2,c":        {"a:1", "b:2", "c:2379"},
		" b:2 , a:1":   {"a:1", "b:2"},
		"b:2 [::1]:3":  {"a:1", "b:2", "[::1]:3"},
		"http://b:2":   {"a:1", "b:2"},
		"":             {"a:1"},
		"etcdv3://b:2": {"a:1", "b:2"},
	} {
		s, err := newSettings(registryConfig{address: "a:1", params: map[string]string{constant.BackupKey: backup}}.url(t), inRegistry)
		if assert.NoError(t, err, backup) {
			assert.Equal(t, want, s.Cluster.Endpoints, "backup=%q", backup)
		}
	}
}

func TestAnAddressThatCannotBeUsedIsAnErrorThatNamesItAndWhatIsAccepted(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ list, named, cause string }{
		{"a:port", `"a:port"`, "port"},
		{"a:1,b:x,c:3", `"b:x"`, "port"},
		{"a:", `"a:"`, "port"},
		{"a:0", `"a:0"`, "port"},
		{"a:65536", `"a:65536"`, "port"},
		{"a:-1", `"a:-1"`, "port"},
		{"a:+1", `"a:+1"`, "port"},
		{":2379", `":2379"`, "the host is empty"},
		{"a:1:2", `"a:1:2"`, "too many colons"},
		{"ftp://a:1", `"ftp://a:1"`, "scheme"},
		{"HTTP//a:1", `"HTTP//a:1"`, "character"},
		{"http://", `"http://"`, "the host is empty"},
		{"http://a:1,https://b:2", `"https://b:2"`, "mixed"},
		{"[a]:1", `"[a]:1"`, "IPv6"},
		{"[127.0.0.1]:1", `"[127.0.0.1]:1"`, "IPv6"},
		{"[]:1", `"[]:1"`, "host is empty"},
		{"[::1:1", `"[::1:1"`, "]"},
		{"a/b:1", `"a/b:1"`, "character"},
		{"a:1/path", `"a:1/path"`, "port"},
		{"a?b", `"a?b"`, "character"},
		{"${ETCD}:1", `"${ETCD}:1"`, "character"},
		{"a\x00b:1", `"a\x00b:1"`, "character"},
		{"a\u00a0b:1", `"a\u00a0b:1"`, "character"},
	} {
		a, err := parseAddresses(c.list)
		if assert.Error(t, err, "%q was read as %v", c.list, a.endpoints) {
			assert.ErrorContains(t, err, "address "+c.named)
			assert.ErrorContains(t, err, c.cause, c.list)
			assert.ErrorContains(t, err, "accepted is "+acceptedAddress)
		}
	}
}

func TestNoAddressAtAllIsAnError(t *testing.T) {
	t.Parallel()
	for _, list := range []string{"", " ", ",", " , ;\n"} {
		_, err := parseAddresses(list)
		assert.ErrorContains(t, err, "no address is configured: accepted is "+acceptedAddress, "%q", list)
	}
}
