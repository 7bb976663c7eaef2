// SPDX-License-Identifier: Apache-2.0

//go:build interop

package interop_test

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"dubbo.apache.org/dubbo-go/v3/common"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// oddities are what keys of providers may have besides: as parameters, encoded.
var oddities = map[string]string{
	"Unicode":        "owner=%E4%BD%A0%E5%A5%BD%F0%9F%90%B9&note=w%C3%B6rld",
	"Plus":           "note=a%2Bb+c",
	"Percent":        "note=100%25%2525",
	"Simplified":     "",
	"ManyMethods":    "methods=greet,older" + manyMethods(3000),
	"ReleaseOfJava":  "release=3.9.0-SNAPSHOT&dubbo=2.0.2&deprecated=false&dynamic=true&service-name-mapping=true",
	"ReleaseOfGo":    "release=dubbo-golang-3.3.2&bean.name=x&module=sample&organization=dubbo-go",
	"Serializations": "prefer.serialization=hessian2,fastjson2&serialization=hessian2&serialize.check.status=STRICT",
}

func manyMethods(n int) string {
	var names strings.Builder
	for i := range n {
		fmt.Fprintf(&names, ",m%04d", i)
	}
	return names.String()
}

// Lines of the log that are none of the keys' affair.
var (
	complaints = regexp.MustCompile(`\b(WARNING|SEVERE|WARN|ERROR)\b`)
	ownAffairs = regexp.MustCompile(`com\.google\.protobuf`) // of how the etcd client was built
)

// complaintsSince returns the warnings and errors in a log after its first n bytes.
func (p *peer) complaintsSince(n int) (lines []string) {
	for line := range strings.SplitSeq(p.log()[n:], "\n") {
		if complaints.MatchString(line) && !ownAffairs.MatchString(line) {
			lines = append(lines, line[:min(len(line), 600)])
		}
	}
	return lines
}

func TestNeitherComplainsOfTheKeysOfTheOther(t *testing.T) {
	eachJava(t, func(t *testing.T, v version) {
		bothWays(t, v, func(t *testing.T, provider, consumer side) {
			etcd := etcdtest.Start(t)
			at := address(t)
			provider.start(t, "provider", provider.registry(etcd.Endpoint()), "serve=dubbo://"+at+"/"+plainInterface, "weight=100")
			c := consumer.start(t, "consumer", consumer.registry(etcd.Endpoint()), referPlain)
			requireCalls(t, c, 0, "provider@/")
			begin := len(c.log())

			register, unregister := registering(t, provider, v, etcd)
			for name, parameters := range oddities {
				// Another entry of the same provider: it is called all the same.
				u := fmt.Sprintf("dubbo://%s/%s?interface=%s&side=provider&application=%s&timestamp=1700000000&%s", at, plainInterface, plainInterface, name, parameters)
				register(u)
				requireCalls(t, c, 0, "provider@/")
				unregister(u)
			}
			requireCalls(t, c, 0, "provider@/")
			assert.Empty(t, c.complaintsSince(begin))
		})
	})
}

// registering returns how a URL is registered and unregistered in a language.
func registering(t *testing.T, s side, v version, etcd *etcdtest.Server) (register, unregister func(string)) {
	t.Helper()
	if s.language == "Java" {
		java := startPeer(t, v, etcd.Endpoint())
		return func(u string) { java.do("register %s", u) }, func(u string) { java.do("unregister %s", u) }
	}
	r := testkit.NewRegistry(t, etcd.Endpoint(), "file-cache", "false")
	of := func(raw string) *common.URL {
		u, err := url.Parse(raw)
		require.NoError(t, err)
		return common.NewURLWithOptions(common.WithProtocol(u.Scheme), common.WithIp(u.Hostname()), common.WithPort(u.Port()),
			common.WithPath(u.Path), common.WithParams(u.Query()))
	}
	return func(u string) { require.NoError(t, r.Register(of(u))) }, func(u string) { require.NoError(t, r.UnRegister(of(u))) }
}
