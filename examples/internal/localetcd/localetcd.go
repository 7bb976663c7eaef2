// SPDX-License-Identifier: Apache-2.0

// Package localetcd runs an etcd inside the process, for those who have none
// at hand.
package localetcd

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
)

const startTimeout = 20 * time.Second

// Server is an etcd of one member on a loopback port.
type Server struct {
	Address string // host:port
	etcd    *embed.Etcd
}

// Start starts an etcd that keeps its data in dir and listens on a loopback
// port; port 0 is any that is free.
func Start(dir string, port int) (*Server, error) {
	cfg := embed.NewConfig()
	cfg.Dir = dir
	cfg.BcryptCost = 4 // the least: passwords are tried out here, not kept
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(zap.NewNop())
	clients := []url.URL{{Scheme: "http", Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(port))}}
	peers := []url.URL{{Scheme: "http", Host: "127.0.0.1:0"}} // there are none
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = clients, clients
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = peers, peers
	cfg.InitialCluster = cfg.InitialClusterFromName(cfg.Name)

	etcd, err := embed.StartEtcd(cfg)
	if err != nil {
		return nil, fmt.Errorf("start etcd: %w", err)
	}
	select {
	case <-etcd.Server.ReadyNotify():
	case err = <-etcd.Err():
	case <-time.After(startTimeout):
		err = errors.New("it is not ready after " + startTimeout.String())
	}
	if err != nil {
		etcd.Close()
		return nil, fmt.Errorf("start etcd: %w", err)
	}
	return &Server{Address: etcd.Clients[0].Addr().String(), etcd: etcd}, nil
}

// Wait returns when the server has failed.
func (s *Server) Wait() error { return <-s.etcd.Err() }

// Stop stops the server. Its data stay.
func (s *Server) Stop() { s.etcd.Close() }
