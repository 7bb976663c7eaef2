// SPDX-License-Identifier: Apache-2.0

//go:build interop

package interop_test

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"dubbo.apache.org/dubbo-go/v3"
	"dubbo.apache.org/dubbo-go/v3/client"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/config_center"
	"dubbo.apache.org/dubbo-go/v3/graceful_shutdown"
	"dubbo.apache.org/dubbo-go/v3/logger"
	"dubbo.apache.org/dubbo-go/v3/protocol"
	"dubbo.apache.org/dubbo-go/v3/registry"
	"dubbo.apache.org/dubbo-go/v3/server"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// childVariable is set in the environment of a child.
const childVariable = "INTEROP_CHILD"

// app is what App.java is, in Go: an application that is told by its arguments
// what it serves and refers to, and by commands whom to call.
type app struct {
	flags      url.Values
	client     *client.Client
	references []reference
}

// runApp returns when the process is to end, or cannot be what it is to be.
func runApp(args []string) error {
	a := &app{flags: url.Values{}}
	for _, arg := range args {
		name, value, _ := strings.Cut(arg, "=")
		a.flags.Add(name, value)
	}
	instance, err := dubbo.NewInstance(a.options()...)
	if err != nil {
		return err
	}
	if len(a.flags["serve"]) > 0 {
		if err := a.serve(instance); err != nil {
			return err
		}
	}
	if a.client, err = instance.NewClient(client.WithClientNoCheck()); err != nil {
		return err
	}
	for _, u := range a.flags["refer"] {
		if _, err := a.refer(u); err != nil {
			return err
		}
	}
	a.converse()
	return nil
}

func (a *app) options() []dubbo.InstanceOption {
	opts := []dubbo.InstanceOption{
		dubbo.WithName(cmp.Or(a.flags.Get("application"), a.flags.Get("name"))),
		dubbo.WithLogger(logger.WithLevel("info")),
		dubbo.WithShutdown(
			graceful_shutdown.WithConsumerUpdateWaitTime(500*time.Millisecond),
			graceful_shutdown.WithOfflineRequestWindowTimeout(200*time.Millisecond),
			graceful_shutdown.WithStepTimeout(3*time.Second),
		),
	}
	for i, u := range a.flags["registry"] {
		at, _ := url.Parse(u)
		opts = append(opts, dubbo.WithRegistry(registryOptions(at, "r"+strconv.Itoa(i))...))
	}
	if at := a.flags.Get("config"); at != "" {
		opts = append(opts, dubbo.WithConfigCenter(config_center.WithConfigCenter("etcdv3"), config_center.WithAddress(at),
			config_center.WithDataID(a.flags.Get("name")+".yaml"), config_center.WithTimeout(5*time.Second)))
	}
	for _, u := range a.flags["serve"] {
		at, _ := url.Parse(u)
		port, _ := strconv.Atoi(at.Port())
		id := at.Scheme + at.Port()
		switch at.Scheme {
		case "tri":
			opts = append(opts, dubbo.WithProtocol(protocol.WithTriple(), protocol.WithID(id), protocol.WithIp(at.Hostname()), protocol.WithPort(port)))
		default:
			opts = append(opts, dubbo.WithProtocol(protocol.WithDubbo(), protocol.WithID(id), protocol.WithIp(at.Hostname()), protocol.WithPort(port)))
		}
	}
	return opts
}

// registryOptions are those of etcdv3://host:port?type=interface and parameters.
func registryOptions(at *url.URL, id string) []registry.Option {
	opts := []registry.Option{registry.WithEtcdV3(), registry.WithAddress(at.Host), registry.WithID(id), registry.WithTimeout(5 * time.Second)}
	params := map[string]string{}
	for name := range at.Query() {
		switch value := at.Query().Get(name); name {
		case "type":
			opts = append(opts, map[string]registry.Option{
				"interface": registry.WithRegisterInterface(),
				"service":   registry.WithRegisterService(),
				"all":       registry.WithRegisterServiceAndInterface(),
			}[value])
			if value == "interface" {
				opts = append(opts, registry.WithoutUseAsMetaReport())
			}
		case "simplified":
			opts = append(opts, registry.WithSimplified())
		default:
			params[name] = value
		}
	}
	return append(opts, registry.WithParams(params))
}

func (a *app) serve(instance *dubbo.Instance) error {
	srv, err := instance.NewServer(func(o *server.ServerOptions) { o.Provider.Weight, _ = strconv.ParseInt(a.flags.Get("weight"), 10, 64) })
	if err != nil {
		return err
	}
	for _, u := range a.flags["serve"] {
		at, err := url.Parse(u)
		if err != nil {
			return err
		}
		name, q := strings.TrimPrefix(at.Path, "/"), at.Query()
		by := fmt.Sprintf("%s %s/%s", a.flags.Get("name"), q.Get("group"), q.Get("version"))
		opts := []server.ServiceOption{
			server.WithInterface(name),
			server.WithGroup(q.Get("group")),
			server.WithVersion(q.Get("version")),
			// server.WithProtocolIDs of v3.3.2 takes none.
			func(o *server.ServiceOptions) { o.Service.ProtocolIDs = []string{at.Scheme + at.Port()} },
		}
		for _, param := range slices.Sorted(maps.Keys(q)) {
			if !slices.Contains([]string{"group", "version", "serialization"}, param) {
				opts = append(opts, server.WithParam(param, q.Get(param)))
			}
		}
		id := u // tells the services of a server apart
		if name == protoInterface {
			err = srv.Register(&ProtoService{by, id}, protoInfo(), opts...)
		} else {
			err = srv.RegisterService(&PlainService{by, id}, append(opts, server.WithSerialization(constant.Hessian2Serialization))...)
		}
		if err != nil {
			return err
		}
	}
	go func() { // until dubbo-go has ended the process
		if err := srv.Serve(); err != nil {
			fmt.Fprintln(os.Stderr, "serve:", err)
			os.Exit(1)
		}
	}()
	return a.awaitServing()
}

// awaitServing returns when all ports are listened at.
func (a *app) awaitServing() error {
	for _, u := range a.flags["serve"] {
		at, err := url.Parse(u)
		if err != nil {
			return err
		}
		if _, ok := testkit.Within(testkit.Patience, func() bool {
			conn, err := net.Dial("tcp", at.Host)
			if err == nil {
				_ = conn.Close()
			}
			return err == nil
		}); !ok {
			return fmt.Errorf("nobody listens at %s", at.Host)
		}
	}
	return nil
}

// converse answers until there is nobody any more who asks.
func (a *app) converse() {
	fmt.Println("= ready")
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		name, rest, _ := strings.Cut(lines.Text(), " ")
		if answer, err := a.run(name, rest); err != nil {
			fmt.Println("! " + strings.ReplaceAll(err.Error(), "\n", " "))
		} else {
			fmt.Println("= " + answer)
		}
	}
}

func (a *app) run(name, rest string) (string, error) {
	args := strings.Split(rest, " ")
	switch name {
	case "call":
		i, _ := strconv.Atoi(args[0])
		n, _ := strconv.Atoi(args[1])
		return a.call(a.references[i], n), nil
	case "older":
		i, _ := strconv.Atoi(args[0])
		return a.references[i].older(context.Background())
	case "slow":
		i, _ := strconv.Atoi(args[0])
		return a.references[i].greet(context.Background(), "sleep "+args[1])
	case "refer":
		return a.refer(rest)
	default:
		return "", fmt.Errorf("there is no command %s", name)
	}
}

// call calls a reference n times, and says how often who answered as what.
func (a *app) call(r reference, n int) string {
	by := map[string]int{}
	failure := ""
	for i := range n {
		who := "wörld" + strconv.Itoa(i)
		answer, err := r.greet(context.Background(), who)
		caller, ok := strings.CutSuffix(answer, " "+who)
		if err == nil && !ok {
			err = fmt.Errorf("it answers %q", answer)
		}
		if err != nil {
			caller, failure = "failed", " !"+strings.ReplaceAll(err.Error(), "\n", " ")
		}
		by[strings.ReplaceAll(caller, " ", "@")]++
	}
	var counts []string
	for _, caller := range slices.Sorted(maps.Keys(by)) {
		counts = append(counts, fmt.Sprintf("%s=%d", caller, by[caller]))
	}
	return strings.Join(counts, " ") + failure
}

// refer makes a reference of a URL, protocol://any/interface?parameters.
func (a *app) refer(u string) (string, error) {
	at, err := url.Parse(u)
	if err != nil {
		return "", err
	}
	q := at.Query()
	opts := []client.ReferenceOption{
		client.WithGroup(q.Get("group")),
		client.WithVersion(q.Get("version")),
		client.WithProtocol(at.Scheme),
		client.WithProvidedBy(q.Get("provided-by")),
	}
	if ms := q.Get("timeout"); ms != "" {
		n, _ := strconv.Atoi(ms)
		opts = append(opts, client.WithRequestTimeout(time.Duration(n)*time.Millisecond))
	}
	r, err := newReference(a.client, strings.TrimPrefix(at.Path, "/"), q.Get("generic") != "", q.Get("serialization"), opts)
	if err != nil {
		return "", err
	}
	a.references = append(a.references, r)
	return "", nil
}
