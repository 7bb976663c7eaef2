// SPDX-License-Identifier: Apache-2.0

package configcenter

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/config_center"
	"dubbo.apache.org/dubbo-go/v3/config_center/parser"
	gxset "github.com/dubbogo/gost/container/set"
	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/cluster"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/extension"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/layout"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/rights"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
)

// Center is a config_center.DynamicConfiguration. Its methods may be called
// from any goroutine. Making one costs nothing: it connects with its first use.
type Center struct {
	user    *extension.User
	reads   reads
	scripts sync.Once // the log was told that they are not let through
	refused refusals

	mu        sync.Mutex // guards what follows
	parser    parser.ConfigurationParser
	listeners map[listenerID]*subscription
	calls     map[config_center.ConfigurationListener]*calls
	settling  map[string]*settler
	started   map[string]string // what GetProperties returned, by key, until somebody listens to it
	overrides overrides
}

var _ config_center.DynamicConfiguration = (*Center)(nil)

// New makes a Center.
func New(cfg extension.Config) *Center {
	return &Center{
		user:      extension.NewUser(cfg, cfg.Timeout, extension.ErrClosed),
		overrides: overrides{tell: cluster.OverridesChanged},
		parser:    &parser.DefaultConfigurationParser{},
		listeners: map[listenerID]*subscription{},
		calls:     map[config_center.ConfigurationListener]*calls{},
		started:   map[string]string{},
		settling:  map[string]*settler{},
	}
}

// GetURL returns the URL that the center was made of, without the password.
func (c *Center) GetURL() *common.URL { return c.user.URL }

// Parser returns the parser of override rules.
func (c *Center) Parser() parser.ConfigurationParser {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.parser == nil {
		return nil
	}
	return checked{c.parser}
}

// SetParser replaces it.
func (c *Center) SetParser(p parser.ConfigurationParser) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.parser = p
}

// GetProperties returns a configuration, or "" if there is none. It waits for
// etcd at most for the timeout of the configuration, trying again until then: a
// service that starts together with etcd finds its configuration. After an error
// the framework starts the service without.
func (c *Center) GetProperties(key string, opts ...config_center.Option) (string, error) {
	path, err := c.path(key, groupOf(opts))
	if err != nil {
		return "", err
	}
	value, err := c.read(path, c.user.Timeout)
	if err != nil {
		return "", err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.started[path] = value
	return value, nil
}

// maxRuleWait is how long GetRule waits for etcd at most: routers call it while
// the list of providers is being changed.
const maxRuleWait = 10 * time.Second

// GetRule returns a rule, or "" if there is none. While etcd is away it returns
// what a listener of the rule was told last, where there is one.
func (c *Center) GetRule(key string, opts ...config_center.Option) (string, error) {
	path, err := c.path(key, groupOf(opts))
	if err != nil {
		return "", err
	}
	value, err := c.read(path, min(c.user.Timeout, maxRuleWait))
	if err != nil && retry.CanPass(err) {
		if known, ok := c.known(path); ok {
			value, err = known, nil
		}
	}
	if err == nil {
		c.hasRead(path, value)
	}
	return value, err
}

// GetInternalProperty is GetRule: in etcd, as in zookeeper, a property is a key.
func (c *Center) GetInternalProperty(key string, opts ...config_center.Option) (string, error) {
	return c.GetRule(key, opts...)
}

// PublishConfig puts a configuration or a rule. Other than what a service
// registers this is not made good later: while etcd is away it is an error.
func (c *Center) PublishConfig(key, group, value string) error {
	return c.write("publish", key, group, func(path string) clientv3.Op { return clientv3.OpPut(path, value) })
}

// RemoveConfig deletes one; none is not an error.
func (c *Center) RemoveConfig(key, group string) error {
	return c.write("remove", key, group, func(path string) clientv3.Op { return clientv3.OpDelete(path) })
}

// GetConfigKeysByGroup returns the keys of a group; it may have none.
func (c *Center) GetConfigKeysByGroup(group string) (*gxset.HashSet, error) {
	prefix := layout.ConfigPrefix(c.user.Root, group)
	response, err := c.do("list", c.alone, clientv3.OpGet(prefix, clientv3.WithPrefix(), clientv3.WithKeysOnly()))
	if err != nil {
		return nil, err
	}
	set := gxset.NewSet()
	for _, kv := range response.Get().Kvs {
		if key := strings.TrimPrefix(string(kv.Key), prefix); key != "" {
			set.Add(key)
		}
	}
	return set, nil
}

// read returns what a key holds, or "" for nothing. Services read much when they
// start: while etcd is away they wait for it once, not for each key.
func (c *Center) read(path string, timeout time.Duration) (value string, err error) {
	defer c.reads.begin()()
	together := func(cl *cluster.Cluster) (context.Context, context.CancelFunc) { return cl.Waiting(timeout) }
	response, err := c.do("read", together, clientv3.OpGet(path))
	if err == nil && len(response.Get().Kvs) > 0 {
		value = string(response.Get().Kvs[0].Value)
	}
	return c.told(path, value), err
}

func (c *Center) write(what, key, group string, op func(path string) clientv3.Op) error {
	path, err := c.path(key, group)
	if err == nil {
		_, err = c.do(what, c.alone, op(path))
	}
	return err
}

// alone is how long a request waits that does not come with many others.
func (c *Center) alone(*cluster.Cluster) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), c.user.Timeout)
}

// do sends a request, and again while etcd is away, as long as it may wait.
func (c *Center) do(what string, wait func(*cluster.Cluster) (context.Context, context.CancelFunc), op clientv3.Op) (response clientv3.OpResponse, err error) {
	path := string(op.KeyBytes())
	cl, err := c.user.Get()
	if err != nil {
		return response, fmt.Errorf("etcdv3 config center: %s %s: %w", what, path, err)
	}
	ctx, cancel := wait(cl)
	defer cancel()
	err = cl.Ask(ctx, cluster.Impatient, func(ctx context.Context, client *clientv3.Client) (err error) {
		response, err = client.Do(ctx, op)
		return err
	})
	switch {
	case err == nil:
		return response, nil
	case retry.CanPass(err):
		return response, fmt.Errorf("etcdv3 config center: %s %s: etcd at %v does not answer (is it running there, and are address, TLS and firewall right?): %w",
			what, path, c.user.Cluster.Endpoints, err)
	default:
		return response, fmt.Errorf("etcdv3 config center: %s %s in etcd at %v: %w%s", what, path, c.user.Cluster.Endpoints, err, lacks(what, path, err))
	}
}

// lacks says how the right to do something is given, if that is what lacks. To read
// a rule is to be told of it, and of those beside it.
func lacks(what, path string, err error) string {
	switch what {
	case "read":
		return rights.ToPrefix(rights.Read, watched(path), err)
	case "list":
		return rights.ToPrefix(rights.Read, path, err)
	default:
		return rights.ToKey(rights.ReadWrite, path, err)
	}
}

// Close ends the listeners, and gives up the connection if nobody else in the
// process uses it. The framework never calls it. Calling it again does nothing.
func (c *Center) Close() error {
	if !c.user.End() {
		return nil
	}
	c.mu.Lock()
	listeners := c.listeners
	c.listeners = nil
	c.mu.Unlock()

	for _, s := range listeners {
		s.Close()
	}
	c.overrides.close()
	return c.user.Close()
}

func (c *Center) path(key, group string) (string, error) {
	path, err := layout.ConfigKey(c.user.Root, group, key)
	if err != nil {
		return "", fmt.Errorf("etcdv3 config center: %w", err)
	}
	return path, nil
}

func groupOf(opts []config_center.Option) string {
	return config_center.NewOptions(opts...).Center.Group
}

func isNothing(value string) bool { return strings.TrimSpace(value) == "" }
