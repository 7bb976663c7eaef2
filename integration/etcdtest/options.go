// SPDX-License-Identifier: Apache-2.0

package etcdtest

import (
	"fmt"
	"time"
)

// Option changes how a server is run.
type Option func(*config)

type config struct {
	ca         *CA      // nil for a server without TLS
	everywhere bool     // for clients, it listens on every address
	flags      []string // after the package's own, which they override
	patience   time.Duration
}

func newConfig(opts []Option) config {
	var cfg config
	for _, opt := range opts {
		opt(&cfg)
	}
	return cfg
}

// WithFlags adds command line flags of etcd, such as
// "--auto-compaction-retention=1". A flag that this package sets too is
// overridden; its addresses and its data directory must be left alone.
func WithFlags(flags ...string) Option {
	return func(cfg *config) { cfg.flags = append(cfg.flags, flags...) }
}

// WithProgress has watches to which nothing happens be told so again and again.
func WithProgress(every time.Duration) Option {
	flag := "watch-progress-notify-interval"
	if !takes(flag) { // before 3.6
		flag = "experimental-" + flag
	}
	return WithFlags(fmt.Sprintf("--%s=%v", flag, every))
}

// WithPatience has a server that starts, or is asked for its metrics, take as long as
// that before the test fails: its machine is to be loaded until something gives way.
func WithPatience(d time.Duration) Option {
	return func(cfg *config) { cfg.patience = d }
}

// WithEveryAddress has the server listen for clients at its port on every
// address, so also on those that [Loopback] makes of its endpoint.
func WithEveryAddress() Option {
	return func(cfg *config) { cfg.everywhere = true }
}

// WithTLS has the server speak TLS to its clients, with a certificate that ca
// issues. Client then speaks TLS too. clientCert demands a certificate of that
// same authority from every client.
func WithTLS(ca *CA, clientCert bool) Option {
	return func(cfg *config) {
		pair := ca.Issue("etcd")
		cfg.flags = append(cfg.flags, "--cert-file="+pair.CertFile, "--key-file="+pair.KeyFile)
		if clientCert {
			cfg.flags = append(cfg.flags, "--client-cert-auth", "--trusted-ca-file="+ca.CertFile)
		}
		cfg.ca = ca
	}
}
