// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"

	"golang.org/x/crypto/bcrypt"
)

// access is who may see the page.
type access struct {
	write      bool   // whether anything can be changed
	loginFile  string // lines of user:bcrypt, as htpasswd -B writes them; empty: none
	userHeader string // in which a trusted proxy names the user
	proxies    string // networks of such proxies, separated by commas
	hosts      string // names under which the page may be opened, separated by commas; empty: any
	certFile   string // of the page; empty: it is served without TLS
	keyFile    string
}

// gate lets in who may.
type gate struct {
	access
	address net.Addr
	logins  map[string][]byte // user → bcrypt of the password
	known   sync.Map          // SHA-256 of user and password that were right: bcrypt is slow on purpose
	trusted []netip.Prefix
	origin  *http.CrossOriginProtection
	next    http.Handler
}

func newGate(a access, address net.Addr, next http.Handler) (*gate, error) {
	g := &gate{access: a, address: address, next: next, origin: http.NewCrossOriginProtection()}
	if a.loginFile != "" {
		var err error
		if g.logins, err = readLogins(a.loginFile); err != nil {
			return nil, fmt.Errorf("-login-file: %w", err)
		}
	}
	for network := range strings.SplitSeq(a.proxies, ",") {
		if network = strings.TrimSpace(network); network == "" {
			continue
		}
		prefix, err := netip.ParsePrefix(network)
		if err != nil {
			return nil, fmt.Errorf("-trusted-proxies: %w", err)
		}
		g.trusted = append(g.trusted, prefix)
	}
	switch {
	case (a.userHeader == "") != (len(g.trusted) == 0):
		return nil, errors.New("-user-header and -trusted-proxies go together")
	case (a.certFile == "") != (a.keyFile == ""):
		return nil, errors.New("-page-cert-file and -page-key-file go together")
	case a.write && !isLoopback(address.String()) && g.logins == nil && a.userHeader == "":
		return nil, errors.New("-write at an address that others reach needs a login: -login-file, or -user-header and -trusted-proxies")
	}
	return g, nil
}

// readLogins reads lines of user:bcrypt.
func readLogins(path string) (map[string][]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	logins := map[string][]byte{}
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		user, hash, ok := strings.Cut(line, ":")
		if _, err := bcrypt.Cost([]byte(hash)); !ok || user == "" || err != nil {
			return nil, fmt.Errorf("%s: a line is not user:bcrypt, as htpasswd -nB USER writes it", path)
		}
		logins[user] = []byte(hash)
	}
	if len(logins) == 0 && lines.Err() == nil {
		return nil, fmt.Errorf("%s: it has no user", path)
	}
	return logins, lines.Err()
}

type userKey struct{}

// userOf is who has logged in, "-" if there is no login.
func userOf(r *http.Request) string {
	if user, ok := r.Context().Value(userKey{}).(string); ok {
		return user
	}
	return "-"
}

func (g *gate) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case isLoopback(g.address.String()) && !isLoopback(r.Host) && g.hosts == "":
		// A site whose name has been made to point here.
		http.Error(w, "This page is for this machine: open it as http://"+g.address.String(), http.StatusForbidden)
		return
	case g.hosts != "" && !g.isNamed(r.Host):
		http.Error(w, "This page is not served under that name: -hosts lists those that it is", http.StatusForbidden)
		return
	}
	if err := g.origin.Check(r); err != nil {
		http.Error(w, "This comes from another page", http.StatusForbidden)
		return
	}
	user, ok := g.user(r)
	if !ok {
		if g.logins != nil {
			w.Header().Set("WWW-Authenticate", `Basic realm="registry", charset="UTF-8"`)
		}
		http.Error(w, "Who are you?", http.StatusUnauthorized)
		return
	}
	w.Header().Set("Content-Security-Policy", policy)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Referrer-Policy", "no-referrer")
	w.Header().Set("Cache-Control", "no-store")
	g.next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), userKey{}, user)))
}

func (g *gate) isNamed(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	return slices.ContainsFunc(strings.Split(g.hosts, ","), func(name string) bool { return strings.EqualFold(strings.TrimSpace(name), host) })
}

// user is who asks; ok is false if nobody knows him.
func (g *gate) user(r *http.Request) (name string, ok bool) {
	if g.userHeader != "" && g.isProxy(r.RemoteAddr) {
		if name = r.Header.Get(g.userHeader); name != "" {
			return name, true
		}
	}
	if g.logins == nil {
		return "-", g.userHeader == ""
	}
	name, password, _ := r.BasicAuth()
	sum := sha256.Sum256([]byte(name + "\x00" + password))
	if _, known := g.known.Load(sum); known {
		return name, true
	}
	if bcrypt.CompareHashAndPassword(g.logins[name], []byte(password)) != nil { // of nobody there is nothing to compare with
		return name, false
	}
	g.known.Store(sum, true)
	return name, true
}

func (g *gate) isProxy(remote string) bool {
	address, err := netip.ParseAddrPort(remote)
	return err == nil && slices.ContainsFunc(g.trusted, func(p netip.Prefix) bool { return p.Contains(address.Addr().Unmap()) })
}
