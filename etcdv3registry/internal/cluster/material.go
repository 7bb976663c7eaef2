// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"crypto/tls"
	"sync"
	"time"

	"github.com/dubbogo/gost/log/logger"
)

// material is what was read last of a set of files.
type material struct {
	files TLS

	mu     sync.Mutex // guards what follows
	last   *tls.Config
	broken bool      // it could not be used when it was read last
	warned time.Time // when it was last said that the certificate expires
}

// materials has that of every set of files that was named in this process.
var materials = struct {
	mu      sync.Mutex
	byFiles map[TLS]*material
}{byFiles: map[TLS]*material{}}

func materialOf(t TLS) *material {
	materials.mu.Lock()
	defer materials.mu.Unlock()
	m := materials.byFiles[t]
	if m == nil {
		m = &material{files: t}
		materials.byFiles[t] = m
	}
	return m
}

func (m *material) usable() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.last != nil
}

// take takes in what was read, and returns what is to be used.
func (m *material) take(read *tls.Config, err error) (*tls.Config, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case err != nil && m.last == nil:
		return nil, err
	case err != nil && !m.broken:
		logger.Warnf("[etcdv3] the TLS files (%v) cannot be used any more, going on with what was in them last: %v", m.files, err)
	case err == nil && m.broken:
		logger.Infof("[etcdv3] the TLS files (%v) can be used again", m.files)
	}
	if m.broken = err != nil; !m.broken {
		m.last = read
	}
	m.warnLocked()
	return m.last.Clone(), nil
}

const (
	// expiring is how long before its end the log is told, and then once a day.
	expiring = 7 * 24 * time.Hour
	day      = 24 * time.Hour
)

// warnLocked tells the log of a certificate that expires soon: nobody may have to
// connect until then.
func (m *material) warnLocked() {
	if len(m.last.Certificates) == 0 || time.Since(m.warned) < day-time.Minute {
		return
	}
	if end := m.last.Certificates[0].Leaf.NotAfter; time.Until(end) < expiring {
		m.warned = time.Now()
		logger.Warnf("[etcdv3] the certificate in tls-cert-file=%q expires on %v: replace the file, it is read again", m.files.Cert, end.Format(time.DateTime))
	}
}

// follow reads the files once a day, until ctx ends.
func (m *material) follow(ctx context.Context) {
	ticker := time.NewTicker(day)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			_, _ = m.files.Config()
		}
	}
}
