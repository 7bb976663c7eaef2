// SPDX-License-Identifier: Apache-2.0

package etcdtest

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"
)

// Proxy is a TCP relay in front of a server, at which a test breaks the
// network: Cut is a network that says so, Freeze is one that falls silent.
// Its methods may be called from any goroutine.
type Proxy struct {
	t      testing.TB
	addr   string
	listen string // addr, or its port on every address
	target string
	work   sync.WaitGroup // the accept loop and each connection's goroutines

	mu       sync.Mutex         // guards all below
	listener net.Listener       // nil while cut
	links    map[*link]struct{} // the open connections
	accepted int
	thawed   chan struct{} // closed while bytes may pass
}

// NewProxy returns a proxy that relays to target, a host:port, until the test
// ends. Where nothing listens at target, its connections are closed at once.
func NewProxy(t testing.TB, target string) *Proxy {
	t.Helper()
	addr := reserveAddr(t)
	return newProxy(t, addr, addr, target)
}

// NewProxyForMany is NewProxy, but of a proxy that listens on every address, so
// also on those that [Loopback] makes of its Addr.
func NewProxyForMany(t testing.TB, target string) *Proxy {
	t.Helper()
	addr := reserveAddr(t)
	return newProxy(t, addr, everywhere(addr), target)
}

func newProxy(t testing.TB, addr, listen, target string) *Proxy {
	t.Helper()
	p := &Proxy{
		t:      t,
		addr:   addr,
		listen: listen,
		target: target,
		links:  make(map[*link]struct{}),
		thawed: make(chan struct{}),
	}
	close(p.thawed)
	p.Restore()
	t.Cleanup(func() {
		p.Cut()
		p.work.Wait()
	})
	return p
}

// Addr returns the host:port that clients connect to.
func (p *Proxy) Addr() string { return p.addr }

// Accepted returns how many connections were ever accepted.
func (p *Proxy) Accepted() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.accepted
}

// Open returns how many connections are open.
func (p *Proxy) Open() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.links)
}

// Cut closes all connections and refuses new ones until Restore.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener == nil {
		return
	}
	_ = p.listener.Close()
	p.listener = nil
	for l := range p.links {
		l.close()
	}
	clear(p.links)
}

// Restore accepts connections again after Cut.
func (p *Proxy) Restore() {
	p.t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != nil {
		return
	}
	// The port is not in anybody's range, but some program that asks for any
	// port may try it for a moment.
	listener, err := net.Listen("tcp", p.listen)
	for deadline := time.Now().Add(10 * time.Second); err != nil && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
		listener, err = net.Listen("tcp", p.listen)
	}
	if err != nil {
		p.t.Errorf("restore the proxy: %v", err)
		return
	}
	p.listener = listener
	p.work.Go(func() { p.accept(listener) })
}

// Freeze holds back all bytes, both ways, while connections stay open and new
// ones are accepted: what a client sees of a dead network or a hung server.
func (p *Proxy) Freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.thawed:
		p.thawed = make(chan struct{})
	default: // frozen already
	}
}

// Thaw lets bytes pass again, those held back first; none is lost.
func (p *Proxy) Thaw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.thawed:
	default:
		close(p.thawed)
	}
}

// gate returns a channel that is closed as soon as bytes may pass.
func (p *Proxy) gate() <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.thawed
}

// accept serves one listener until Cut closes it.
func (p *Proxy) accept(listener net.Listener) {
	for {
		client, err := listener.Accept()
		if err != nil {
			return
		}
		if l := p.open(listener, client); l != nil {
			p.work.Go(func() { p.relay(l) })
		}
	}
}

// open takes note of a new connection, or closes it if Cut came in between.
func (p *Proxy) open(listener net.Listener, client net.Conn) *link {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != listener {
		_ = client.Close()
		return nil
	}
	p.accepted++
	l := &link{client: client}
	l.ctx, l.cancel = context.WithCancel(context.Background())
	p.links[l] = struct{}{}
	return l
}

// relay carries one connection until either side, or Cut, ends it.
func (p *Proxy) relay(l *link) {
	defer func() {
		l.close()
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.links, l)
	}()
	var dialer net.Dialer
	server, err := dialer.DialContext(l.ctx, "tcp", p.target)
	if err != nil {
		return
	}
	// Closing both ends is what wakes the two copies.
	stop := context.AfterFunc(l.ctx, func() { _ = server.Close() })
	defer stop()
	var copies sync.WaitGroup
	copies.Go(func() { p.copy(l, server, l.client) })
	copies.Go(func() { p.copy(l, l.client, server) })
	copies.Wait()
}

// copy carries bytes one way, through the gate, and ends both ways with it.
func (p *Proxy) copy(l *link, to, from net.Conn) {
	defer l.close()
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		select {
		case <-p.gate():
		case <-l.ctx.Done():
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// link is one connection through the proxy.
type link struct {
	client net.Conn
	ctx    context.Context // ends with the connection
	cancel context.CancelFunc
}

func (l *link) close() {
	l.cancel()
	_ = l.client.Close()
}
