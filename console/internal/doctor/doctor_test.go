// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dubbogo/gost/log/logger"
	"github.com/stretchr/testify/require"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/console/internal/target"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

func TestMain(m *testing.M) {
	logger.SetLoggerLevel("error")
	patience = 20 * time.Second
	etcdtest.Main(m)
}

// at is a service of which only the etcd is known.
func at(addresses ...string) target.Service {
	return target.Service{Target: target.Target{Address: strings.Join(addresses, ","), Group: "dubbo"}, Session: target.DefaultSession}
}

// examined is what a doctor says, in lines as they are printed.
func examined(t *testing.T, o Options) (healthy bool, report string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	var printed strings.Builder
	healthy = Examine(ctx, o, func(f Finding) {
		require.NotContains(t, f.Text+f.Do, testkit.Password)
		Print(&printed, f)
	})
	return healthy, printed.String()
}

// requireLine is about one line and what it says to do.
func requireLine(t *testing.T, report string, status Status, check, text, do string) {
	t.Helper()
	lines := strings.Split(report, "\n")
	for i, line := range lines {
		if !strings.HasPrefix(line, fmt.Sprintf("%-8s %-11s ", status, check)) || !strings.Contains(line, text) {
			continue
		}
		if do != "" {
			require.Contains(t, lines[i+1], "-> ", report)
			require.Contains(t, lines[i+1], do, report)
		}
		return
	}
	require.Fail(t, "there is no such line", "%s %s ... %s\n -> %s\namong:\n%s", status, check, text, do, report)
}

func TestAnEtcdThatIsWellHasNoFailure(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	testkit.Put(t, etcd.Client(), "/services/shop/10.0.0.1:20000", `{"serviceName":"shop","host":"10.0.0.1","port":20000}`)
	before := testkit.Revision(t, etcd.Client())

	healthy, report := examined(t, Options{Service: at(etcd.Endpoint())})

	require.True(t, healthy, report)
	require.NotContains(t, report, string(Failed))
	for _, check := range checks {
		switch check.name {
		case "cluster": // it has one member
		case "latency", "timeout": // are as the machine is
			require.Contains(t, report, " "+check.name+" ")
		default:
			requireLine(t, report, OK, check.name, "", "")
		}
	}
	requireLine(t, report, OK, "version", "etcd 3.6", "")
	require.Contains(t, report, "a write takes")
	requireLine(t, report, OK, "keys", "1 keys: 1 applications", "")
	require.Equal(t, before, testkit.Revision(t, etcd.Client()), "it has written")
	require.Empty(t, testkit.Leases(t, etcd.Client()))
}

func TestBrokenSetUpsAreToldWithWhatToDo(t *testing.T) {
	t.Parallel()
	type setUp struct {
		service target.Service
		status  Status
		check   string
		line    string
		do      string
	}
	for name, prepare := range map[string]func(t *testing.T) setUp{
		"a name that is none": func(*testing.T) setUp {
			return setUp{at("etcd.invalid:2379"), Failed, "name", "etcd.invalid has no address", "DNS"}
		},
		"nothing that listens": func(t *testing.T) setUp {
			return setUp{at(etcdtest.Reserve(t).Endpoint()), Failed, "connection", "takes no connection: connect: connection refused", "start etcd there"}
		},
		"an etcd that hangs": func(t *testing.T) setUp {
			etcd := etcdtest.Start(t)
			etcd.Pause()
			t.Cleanup(etcd.Resume)
			return setUp{at(etcd.Endpoint()), Failed, "tls", "does not answer: nothing happens within", "or hangs"}
		},
		"an etcd with TLS, a configuration without": func(t *testing.T) setUp {
			etcd := etcdtest.Start(t, etcdtest.WithTLS(etcdtest.NewCA(t), false))
			return setUp{at(etcd.Endpoint()), Failed, "tls", "speaks TLS, and the configuration has none", "configure ca-cert-file"}
		},
		"a configuration with TLS, an etcd without": func(t *testing.T) setUp {
			s := at(etcdtest.Start(t).Endpoint())
			s.TLS.TrustedCAFile = etcdtest.NewCA(t).CertFile
			return setUp{s, Failed, "tls", "it does not speak TLS", "leave out the TLS parameters"}
		},
		"another authority": func(t *testing.T) setUp {
			s := at(etcdtest.Start(t, etcdtest.WithTLS(etcdtest.NewCA(t), false)).Endpoint())
			s.TLS.TrustedCAFile = etcdtest.NewCA(t).CertFile
			return setUp{s, Failed, "tls", "of an authority that is not trusted", "name that authority in ca-cert-file"}
		},
		"a name that the certificate has not": func(t *testing.T) setUp {
			ca := etcdtest.NewCA(t)
			s := at(etcdtest.Start(t, etcdtest.WithTLS(ca, false)).Endpoint())
			s.TLS.TrustedCAFile, s.TLS.ServerName = ca.CertFile, "etcd.example.com"
			return setUp{s, Failed, "tls", "not for this name", "set tls-server-name"}
		},
		"no certificate of the client": func(t *testing.T) setUp {
			ca := etcdtest.NewCA(t)
			s := at(etcdtest.Start(t, etcdtest.WithTLS(ca, true)).Endpoint())
			s.TLS.TrustedCAFile = ca.CertFile
			return setUp{s, Failed, "tls", "it wants a certificate of the client", "tls-cert-file"}
		},
		"a wrong password": func(t *testing.T) setUp {
			etcd := etcdtest.Start(t)
			testkit.EnableAuth(t, etcd, "greeter", "/dubbo/")
			s := at(etcd.Endpoint())
			s.Username, s.Password = "greeter", "wrong"
			return setUp{s, Failed, "login", "does not let the user greeter in", "etcdctl user passwd greeter"}
		},
		"no user where one is asked for": func(t *testing.T) setUp {
			etcd := etcdtest.Start(t)
			testkit.EnableAuth(t, etcd, "greeter", "/dubbo/")
			return setUp{at(etcd.Endpoint()), Failed, "login", "etcd asks for a user, and none is configured", "password-file"}
		},
		"a right that lacks": func(t *testing.T) setUp {
			etcd := etcdtest.Start(t)
			testkit.EnableAuth(t, etcd, "greeter", "/dubbo/")
			s := at(etcd.Endpoint())
			s.Username, s.Password = "greeter", testkit.Password
			return setUp{s, Failed, "rights", "the user greeter may not read /services/", "etcdctl role grant-permission ROLE read --prefix=true /services/"}
		},
		"no leader": func(t *testing.T) setUp {
			c := etcdtest.StartCluster(t, 3)
			c.Members[1].Kill()
			c.Members[2].Kill()
			awaitNoLeader(t, c.Members[0])
			return setUp{at(c.Endpoints()...), Failed, "leader", c.Members[0].Endpoint() + " can do nothing: RAFT NO LEADER", "have most of the members run"}
		},
		"members of two etcds": func(t *testing.T) setUp {
			a, b := etcdtest.Start(t), etcdtest.Start(t, etcdtest.WithFlags("--initial-cluster-token=other"))
			return setUp{at(a.Endpoint(), b.Endpoint()), Failed, "cluster", "these are different etcds", "of one etcd only"}
		},
		"no space left": func(t *testing.T) setUp {
			etcd := etcdtest.Start(t, etcdtest.WithFlags("--quota-backend-bytes=1000000"))
			fill(t, etcd.Client())
			return setUp{at(etcd.Endpoint()), Failed, "space", "no space left", "etcdctl alarm disarm"}
		},
		"a session that is shorter than etcd grants": func(t *testing.T) setUp {
			s := at(etcdtest.Start(t, etcdtest.WithFlags("--election-timeout=5000")).Endpoint())
			s.Session = 5 * time.Second
			return setUp{s, Warning, "session", "session=5s is less than what etcd grants: it makes 8s of it", "three times"}
		},
		"keys that cannot be read": func(t *testing.T) setUp {
			etcd := etcdtest.Start(t)
			testkit.Put(t, etcd.Client(), "/dubbo/a.B/providers/10.0.0.1", "")
			return setUp{at(etcd.Endpoint()), Warning, "keys", "/dubbo/a.B/providers/10.0.0.1: this provider cannot be read: there is no protocol://", "delete the key"}
		},
		"a timeout in milliseconds": func(t *testing.T) setUp {
			s := at(etcdtest.Start(t).Endpoint())
			s.Requests = 3 * time.Millisecond
			return setUp{s, Warning, "timeout", "timeout=3ms is short", "with its unit"}
		},
		"authentication that is off": func(t *testing.T) setUp {
			s := at(etcdtest.Start(t).Endpoint())
			s.Username, s.Password = "greeter", testkit.Password
			return setUp{s, Warning, "login", "authentication off", "etcdctl auth enable"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			broken := prepare(t)
			healthy, report := examined(t, Options{Service: broken.service})
			require.Equal(t, broken.status != Failed, healthy, report)
			requireLine(t, report, broken.status, broken.check, broken.line, broken.do)
		})
	}
}

// awaitNoLeader waits until a member knows that its leader is gone.
func awaitNoLeader(t *testing.T, s *etcdtest.Server) {
	t.Helper()
	testkit.Await(t, time.Minute, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		status, err := s.Client().Status(ctx, s.URL())
		return err == nil && status.Leader == 0
	}, "it has a leader")
}

// fill writes until etcd takes no more.
func fill(t *testing.T, client *clientv3.Client) {
	t.Helper()
	testkit.Await(t, time.Minute, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err := client.Put(ctx, "/filling", strings.Repeat("x", 100_000))
		return is(err, rpctypes.ErrNoSpace)
	}, "it has space")
}

func TestHistoryThatIsNeverCompactedIsToldOf(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	for i := range 20 {
		testkit.Put(t, etcd.Client(), "/dubbo/a", fmt.Sprint(i))
	}
	const limit = 15
	_, report := examined(t, Options{Service: at(etcd.Endpoint()), History: limit})
	requireLine(t, report, Warning, "history", "etcd keeps 20 old revisions", "--auto-compaction-retention=1h")
	etcd.Compact(15)
	_, report = examined(t, Options{Service: at(etcd.Endpoint()), History: limit})
	requireLine(t, report, OK, "history", "etcd keeps 6 old revisions, the newest is 21", "")
}

// The user that docs/security.md makes has the rights that it needs, and no more.
func TestAServiceIsExaminedByItsConfiguration(t *testing.T) {
	t.Parallel()
	content, err := os.ReadFile("../../../docs/security.md")
	require.NoError(t, err)
	require.Contains(t, string(content), "etcdctl user add greeter")
	etcd := etcdtest.Start(t)
	var commands strings.Builder
	for i, block := range strings.Split(string(content), "```") {
		if command, ok := strings.CutPrefix(block, "sh\n"); ok && i%2 == 1 {
			commands.WriteString(command)
		}
	}
	etcd.Shell(commands.String(), "ROOT_PASSWORD="+testkit.Password, "GREETER_PASSWORD="+testkit.Password, "SHOP_PASSWORD="+testkit.Password, "CONSOLE_PASSWORD="+testkit.Password)

	dir := t.TempDir()
	password := filepath.Join(dir, "password")
	require.NoError(t, os.WriteFile(password, []byte(testkit.Password+"\n"), 0o600))
	load := func(of string) target.Service {
		path := filepath.Join(dir, "dubbo.yaml")
		require.NoError(t, os.WriteFile(path, fmt.Appendf(nil, `
dubbo:
  application: {name: greeter, metadata-type: remote}
  registries:
    etcd:
      protocol: etcdv3
      registry-type: all
      address: %s
      username: greeter
      params: {session: 12s, password-file: %s}
  provider:
    services:
      GreeterProvider: {interface: %s}
`, etcd.Endpoint(), password, of), 0o600))
		services, err := target.Load(path)
		require.NoError(t, err)
		require.Len(t, services, 1)
		return services[0]
	}

	healthy, report := examined(t, Options{Service: load("com.example.Greeter"), Configured: true})
	require.True(t, healthy, report)
	requireLine(t, report, OK, "rights", "the user greeter has the 6 rights that are needed", "")
	requireLine(t, report, OK, "session", "session=12s", "")

	healthy, report = examined(t, Options{Service: load("com.example.Other"), Configured: true})
	require.False(t, healthy, report)
	requireLine(t, report, Failed, "rights", "may not write /dubbo/com.example.Other/providers/", "ROLE readwrite --prefix=true /dubbo/com.example.Other/providers/")
	requireLine(t, report, Failed, "rights", "may not write /dubbo/mapping/com.example.Other", "ROLE readwrite /dubbo/mapping/com.example.Other")
}

func TestVersionsAreJudged(t *testing.T) {
	t.Parallel()
	for version, want := range map[string]Status{
		"3.3.27": Failed, "2.3.8": Failed, "": Failed, "4.0.0": Failed,
		"3.4.33": Warning, "3.5.17": OK, "3.6.14": OK, "3.7.0": Warning, "3.10.1": Warning,
	} {
		got, text, do := ofVersion(version)
		require.Equal(t, want, got, version)
		require.Contains(t, text, version)
		require.Equal(t, want != OK, do != "", version)
	}
}

func TestClocksAreCompared(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	ended := now.Add(300 * time.Millisecond)
	for there, want := range map[time.Duration]time.Duration{
		0: 0, -time.Second: 0, time.Second: 700 * time.Millisecond, time.Minute: time.Minute - 300*time.Millisecond, -time.Minute: -59 * time.Second,
	} {
		require.Equal(t, want, difference(now.Add(there), now, ended), there)
	}
}

func TestPercentilesAreOfTheNearestRank(t *testing.T) {
	t.Parallel()
	var took []time.Duration
	for i := range 100 {
		took = append(took, time.Duration(i+1))
	}
	require.EqualValues(t, 50, percentile(took, 50))
	require.EqualValues(t, 99, percentile(took, 99))
	require.EqualValues(t, 7, percentile(took[6:7], 99))
}

func TestWhatOthersWroteMakesNoLineOfItsOwn(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	Print(&b, Finding{Check: "keys", Status: Warning, Text: "a\nfailed \x1b[2J", Do: "b\r"})
	require.Equal(t, 2, strings.Count(b.String(), "\n"))
	require.NotContains(t, b.String(), "\x1b")
}
