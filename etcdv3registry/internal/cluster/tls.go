// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"google.golang.org/grpc/credentials"
)

// TLS names the files of a TLS config. They are read again at every handshake, so
// that renewed ones need no restart. Files that could be used once, and cannot be
// now (they are being replaced, say), are a warning: what was in them last goes on.
type TLS struct {
	Enabled       bool
	CA, Cert, Key string // PEM files; without CA the system's roots are trusted
	ServerName    string // checked instead of the endpoint's host name
}

// Check reads the files, unless they have been read before in this process.
func (t TLS) Check() error {
	if materialOf(t).usable() {
		return nil
	}
	_, err := t.Config()
	return err
}

// Config reads the files. It fails only if they never could be used in this
// process.
func (t TLS) Config() (*tls.Config, error) {
	config, err := t.read()
	config, err = materialOf(t).take(config, err)
	if err != nil {
		return nil, fmt.Errorf("read the TLS files (%v): %w", t, err)
	}
	return config, nil
}

func (t TLS) String() string {
	return fmt.Sprintf("ca-cert-file=%q, tls-cert-file=%q, tls-key-file=%q", t.CA, t.Cert, t.Key)
}

func (t TLS) read() (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CA != "" {
		content, err := readFile(t.CA)
		if err != nil {
			return nil, fmt.Errorf("ca-cert-file: %w", err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(content) {
			return nil, errors.New("ca-cert-file: there is no certificate in the CA file")
		}
	}
	if t.Cert == "" && t.Key == "" {
		return config, nil
	}
	if t.Cert == "" || t.Key == "" {
		return nil, errors.New("tls-cert-file and tls-key-file go together, one of them is missing")
	}
	cert, err := t.certificate()
	config.Certificates = []tls.Certificate{cert}
	return config, err
}

// certificate reads that of the client.
func (t TLS) certificate() (tls.Certificate, error) {
	certificate, err := readFile(t.Cert)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("tls-cert-file: %w", err)
	}
	key, err := readFile(t.Key)
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("tls-key-file: %w", err)
	}
	if block, _ := pem.Decode(key); block != nil && (strings.Contains(block.Type, "ENCRYPTED") || block.Headers["DEK-Info"] != "") {
		return tls.Certificate{}, errors.New("tls-key-file: the key is encrypted, decrypt it (openssl pkey)")
	}
	cert, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return cert, fmt.Errorf("tls-cert-file and tls-key-file: %w", err)
	}
	if cert.Leaf == nil { // GODEBUG=x509keypairleaf=0
		if cert.Leaf, err = x509.ParseCertificate(cert.Certificate[0]); err != nil {
			return cert, fmt.Errorf("tls-cert-file: %w", err)
		}
	}
	switch now := time.Now(); {
	case now.After(cert.Leaf.NotAfter):
		err = fmt.Errorf("tls-cert-file: the certificate has expired on %v", cert.Leaf.NotAfter.Format(time.DateTime))
	case now.Before(cert.Leaf.NotBefore):
		err = fmt.Errorf("tls-cert-file: the certificate is valid from %v on (is the clock right?)", cert.Leaf.NotBefore.Format(time.DateTime))
	}
	return cert, err
}

// maxFile is how large a PEM file may be: a bundle of all public authorities has
// 250 kB.
const maxFile = 4 << 20

// readFile reads a file that is one: a pipe might never end.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is no file", path)
	case info.Size() > maxFile:
		return nil, fmt.Errorf("%s has %d bytes", path, info.Size())
	}
	return os.ReadFile(path)
}

// handshakes makes each with what the files hold then. It also has the server's
// certificate checked for a name of its own: the client always sets that of the
// endpoint.
type handshakes struct {
	credentials.TransportCredentials
	files TLS
}

func newHandshakes(files TLS) handshakes {
	return handshakes{credentials.NewTLS(&tls.Config{MinVersion: tls.VersionTLS12}), files}
}

func (h handshakes) ClientHandshake(ctx context.Context, authority string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	config, err := h.files.Config()
	if err != nil {
		return nil, nil, err
	}
	return credentials.NewTLS(config).ClientHandshake(ctx, cmp.Or(h.files.ServerName, authority), conn)
}

func (h handshakes) Clone() credentials.TransportCredentials {
	return handshakes{h.TransportCredentials.Clone(), h.files}
}
