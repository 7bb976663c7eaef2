// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"
)

// expirySoon is how long before its end a certificate is spoken of.
const expirySoon = 7 * 24 * time.Hour

func (d *doctor) names(ctx context.Context) bool {
	var usable []string
	for _, endpoint := range d.Service.Endpoints() {
		host, port, err := net.SplitHostPort(endpoint)
		if err != nil || host == "" || port == "" {
			d.say(Failed, "name", "write host:port, several separated by commas", "%q is no host:port", endpoint)
			continue
		}
		asking, cancel := short(ctx)
		addresses, err := net.DefaultResolver.LookupHost(asking, host)
		cancel()
		if err != nil {
			d.say(Failed, "name", "correct the address, or the DNS of this machine", "%s has no address: %v", host, reason(err))
			continue
		}
		usable = append(usable, endpoint)
		if !slices.Contains(addresses, host) {
			d.say(OK, "name", "", "%s is %s", host, strings.Join(addresses, ", "))
		} else {
			d.say(OK, "name", "", "%s is an address", host)
		}
	}
	d.endpoints = usable
	return len(usable) > 0
}

func (d *doctor) connections(ctx context.Context) bool {
	var usable []string
	for _, endpoint := range d.endpoints {
		begin := time.Now()
		connection, err := dial(ctx, endpoint)
		if err != nil {
			d.say(Failed, "connection", "start etcd there, or open the way: a firewall, a security group, a network policy",
				"%s takes no connection: %v", endpoint, reason(err))
			continue
		}
		_ = connection.Close()
		usable = append(usable, endpoint)
		d.say(OK, "connection", "", "%s takes connections, after %s", endpoint, rounded(time.Since(begin)))
	}
	d.endpoints = usable
	return len(usable) > 0
}

func dial(ctx context.Context, endpoint string) (net.Conn, error) {
	ctx, cancel := short(ctx)
	defer cancel()
	var dialer net.Dialer
	return dialer.DialContext(ctx, "tcp", endpoint)
}

func (d *doctor) tls(ctx context.Context) bool {
	var err error
	if d.secure, err = d.Service.TLSConfig(); err != nil {
		d.say(Failed, "tls", "correct the paths of ca-cert-file, tls-cert-file and tls-key-file, and who may read them", "%v", err)
		return false
	}
	var usable []string
	for _, endpoint := range d.endpoints {
		check := d.plain
		if d.secure != nil {
			check = d.encrypted
		}
		if check(ctx, endpoint) {
			usable = append(usable, endpoint)
		}
	}
	d.endpoints = usable
	return len(usable) > 0
}

// plain makes sure that a server speaks without TLS.
func (d *doctor) plain(ctx context.Context, endpoint string) bool {
	err := greetPlainly(ctx, endpoint)
	switch {
	case err == nil:
		d.say(OK, "tls", "", "%s speaks without TLS, as configured", endpoint)
		return true
	case d.wantsTLS(ctx, endpoint):
		d.say(Failed, "tls", "configure ca-cert-file with the authority of its certificate", "%s speaks TLS, and the configuration has none", endpoint)
	default:
		d.say(Failed, "tls", "find out what listens there: it takes connections, but does not speak as etcd does, or hangs",
			"%s does not answer: %v", endpoint, reason(err))
	}
	return false
}

// greetPlainly is greet without TLS.
func greetPlainly(ctx context.Context, endpoint string) error {
	connection, err := dial(ctx, endpoint)
	if err != nil {
		return err
	}
	defer connection.Close()
	return greet(connection)
}

// wantsTLS says whether a server answers to TLS, whatever its certificate.
func (d *doctor) wantsTLS(ctx context.Context, endpoint string) bool {
	connection, err := dial(ctx, endpoint)
	if err != nil {
		return false
	}
	defer connection.Close()
	_ = connection.SetDeadline(time.Now().Add(patience))
	// Nothing is told to it: this only looks for a handshake.
	return tls.Client(connection, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS12}).HandshakeContext(ctx) == nil
}

func (d *doctor) encrypted(ctx context.Context, endpoint string) bool {
	connection, err := dial(ctx, endpoint)
	if err != nil {
		d.say(Failed, "tls", "try again: it took a connection a moment ago", "%s takes no connection: %v", endpoint, reason(err))
		return false
	}
	defer connection.Close()
	config := d.secure.Clone()
	if config.ServerName == "" {
		config.ServerName, _, _ = net.SplitHostPort(endpoint)
	}
	config.NextProtos = []string{"h2"}
	_ = connection.SetDeadline(time.Now().Add(patience))
	secured := tls.Client(connection, config)
	err = secured.HandshakeContext(ctx)
	if err == nil {
		err = greet(secured) // a server that wants a certificate says so after the handshake
	}
	if err != nil {
		text, do := explain(err)
		if greetPlainly(ctx, endpoint) == nil {
			text, do = "it does not speak TLS", "leave out the TLS parameters, or have etcd speak TLS"
		}
		d.say(Failed, "tls", do, "%s: %s", endpoint, text)
		return false
	}
	certificate := secured.ConnectionState().PeerCertificates[0]
	left := time.Until(certificate.NotAfter)
	if left < expirySoon {
		d.say(Warning, "tls", "renew the certificate of etcd", "the certificate of %s ends on %s", endpoint, certificate.NotAfter.UTC().Format(time.DateTime))
		return true
	}
	d.say(OK, "tls", "", "%s proves who it is, with a certificate until %s", endpoint, certificate.NotAfter.UTC().Format(time.DateOnly))
	return true
}

// greet begins to speak HTTP/2, as gRPC does, and waits for the first byte of an
// answer.
func greet(connection net.Conn) error {
	_ = connection.SetDeadline(time.Now().Add(patience))
	const preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + "\x00\x00\x00\x04\x00\x00\x00\x00\x00" // and empty settings
	if _, err := connection.Write([]byte(preface)); err != nil {
		return err
	}
	header := make([]byte, 9)
	n, err := connection.Read(header)
	switch {
	case err != nil:
		return err
	case n > 3 && header[3] == 4: // its settings
		return nil
	}
	return errors.New("what it says is no HTTP/2")
}

// explain says what an error of TLS means, and what to do.
func explain(err error) (text, do string) {
	var (
		unknown x509.UnknownAuthorityError
		name    x509.HostnameError
		invalid x509.CertificateInvalidError
	)
	switch message := err.Error(); {
	case errors.As(err, &unknown):
		return "its certificate is of an authority that is not trusted", "name that authority in ca-cert-file"
	case errors.As(err, &name):
		return "its certificate is not for this name: " + name.Error(), "set tls-server-name to a name that the certificate has"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "its certificate has ended, or has not begun: " + invalid.Error(), "renew the certificate of etcd, or set the clock of this machine"
	case strings.Contains(message, "certificate required"), strings.Contains(message, "bad certificate"):
		return "it wants a certificate of the client", "configure tls-cert-file and tls-key-file"
	}
	return fmt.Sprintf("the connection fails: %v", reason(err)), "compare ca-cert-file, tls-cert-file and tls-server-name with the flags of etcd"
}

// reason is the part of an error that says something.
func reason(err error) string {
	var dns *net.DNSError
	var timeout net.Error
	var op *net.OpError
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return "there is no such host"
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return fmt.Sprintf("nothing happens within %v", patience)
	case errors.As(err, &op):
		return op.Err.Error()
	}
	return err.Error()
}

func rounded(d time.Duration) time.Duration {
	if d < 10*time.Millisecond {
		return d.Round(10 * time.Microsecond)
	}
	return d.Round(time.Millisecond)
}
