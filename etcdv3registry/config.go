// SPDX-License-Identifier: Apache-2.0

package etcdv3registry

import (
	"errors"
	"fmt"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"github.com/dubbogo/gost/log/logger"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/cachefile"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/cluster"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/extension"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
)

// settings is the URL of a registry, a metadata report or a config center,
// read and validated.
type settings struct {
	extension.Config        // without what of says
	namespace        string // without slashes around it; empty: none
	group            string // likewise
	cacheFile        string // path of the local cache file; empty: Java's default
	caching          bool   // whether there is one
}

// of returns the configuration of an extension that the framework has made of a URL,
// and of which every key begins with root.
func (s settings) of(u *common.URL, root string) extension.Config {
	s.URL, s.CachePath, s.Root = withoutSecrets(u), s.cachePath, root
	return s.Config
}

// root is what every key of a registry begins with: "/dubbo", "/tenant/dubbo".
func (s settings) root() string { return joinPath(s.namespace, s.group) }

// parameter is one entry of the registry's params (or what dubbo-go makes of
// its config fields) that this registry reads.
type parameter struct {
	name     string
	fallback string // the default, in the form a user would write it
	accepted string // what an error says is accepted
	read     func(d *draft, value string) bool
}

// draft is what the parameters are read into, before they are put together.
type draft struct {
	settings
	passwordEnv   string
	retryTimes    int
	retryInterval time.Duration
}

// A dialect is what dubbo-go calls the fields of a configuration other than a
// registry's in its URL, by the registry's names. Other parameters have the names
// of the registry's.
type dialect map[string]string

var (
	inRegistry       dialect // the names of the table
	inMetadataReport = dialect{
		constant.RegistryGroupKey:     constant.MetadataReportGroupKey,
		constant.RegistryNamespaceKey: constant.MetadataReportNamespaceKey,
		constant.RegistryTimeoutKey:   constant.TimeoutKey,
	}
	inConfigCenter = dialect{
		constant.RegistryGroupKey:     constant.ConfigGroupKey,
		constant.RegistryNamespaceKey: constant.ConfigNamespaceKey,
		constant.RegistryTimeoutKey:   constant.ConfigTimeoutKey,
	}
)

const acceptedDuration = "a duration such as 5s or 1m30s, or a number of milliseconds"

// parameters is the one table of what can be configured; docs/parameters.md shows the
// same rows. An empty value means the default, as dubbo-go passes fields that
// were not configured.
var parameters = []parameter{
	{constant.RegistryGroupKey, "dubbo", "the first part of every key, without empty path segments",
		func(d *draft, v string) bool { return readPath(v, &d.group) }},
	{constant.RegistryNamespaceKey, "", "a key prefix, without empty path segments",
		func(d *draft, v string) bool { return readPath(v, &d.namespace) }},
	{constant.RegistryTimeoutKey, "5s", acceptedDuration + ", more than zero",
		func(d *draft, v string) bool { return readDuration(v, time.Millisecond, &d.Timeout) }},
	{"session", cluster.DefaultSession.String(), acceptedDuration + ", at least 1s",
		func(d *draft, v string) bool { return readDuration(v, time.Second, &d.Cluster.Session) }},
	{"retry.times", strconv.Itoa(retry.DefaultTimes), "a number from 0 to 100",
		func(d *draft, v string) bool { return readInt(v, 0, 100, &d.retryTimes) }},
	{"retry.interval", retry.DefaultInterval.String(), acceptedDuration,
		func(d *draft, v string) bool { return readDuration(v, 0, &d.retryInterval) }},
	{constant.CheckKey, "false", "true or false",
		func(d *draft, v string) bool { return readBool(v, &d.Check) }},
	{"file", "", "the path of a file",
		func(d *draft, v string) bool { d.cacheFile = v; return true }},
	{"file-cache", "true", "true or false",
		func(d *draft, v string) bool { return readBool(v, &d.caching) }},
	{"save.file", "false", "true or false",
		func(d *draft, v string) bool { return readBool(v, &d.SaveAtOnce) }},
	{"enable-empty-protection", "false", "true or false",
		func(d *draft, v string) bool { return readBool(v, &d.KeepLast) }},
	{"endpoints.sync", "false", "true or false",
		func(d *draft, v string) bool { return readBool(v, &d.Cluster.SyncEndpoints) }},
	{"requests.trace", "false", "true or false",
		func(d *draft, v string) bool { return readBool(v, &d.Cluster.Tracing) }},
	{"script-rules", "false", "true or false",
		func(d *draft, v string) bool { return readBool(v, &d.ScriptRules) }},
	{"password-file", "", "the path of a file that holds the password",
		func(d *draft, v string) bool { d.Cluster.PasswordFile = v; return true }},
	{"password-env", "", "the name of an environment variable that holds the password",
		func(d *draft, v string) bool { d.passwordEnv = v; return os.Getenv(v) != "" }},
	{"ca-cert-file", "", "the path of a PEM file",
		func(d *draft, v string) bool { d.Cluster.TLS.CA = v; return true }},
	{"tls-cert-file", "", "the path of a PEM file",
		func(d *draft, v string) bool { d.Cluster.TLS.Cert = v; return true }},
	{"tls-key-file", "", "the path of a PEM file",
		func(d *draft, v string) bool { d.Cluster.TLS.Key = v; return true }},
	{"tls-server-name", "", "a host name",
		func(d *draft, v string) bool { d.Cluster.TLS.ServerName = v; return true }},
}

// newSettings reads the URL that dubbo-go hands to an extension's factory. It
// does no I/O but for reading the TLS files that the URL names, once in a process.
//
// An error names the parameter, the value and what is accepted; parameters
// that are not in the table are left alone.
func newSettings(u *common.URL, names dialect) (settings, error) {
	for _, written := range []string{u.Location, u.GetParam(constant.BackupKey, ""), u.GetParam(constant.ClientNameKey, "")} {
		if strings.Contains(written, "@") {
			return settings{}, errCredentials
		}
	}
	location, query, _ := strings.Cut(u.Location, "?")
	inAddress, err := url.ParseQuery(query)
	if err != nil {
		return settings{}, fmt.Errorf("etcdv3 registry: the parameters behind the address %q cannot be read: %w", u.Location, err)
	}
	param := func(name string) string {
		if v := strings.TrimSpace(u.GetParam(name, "")); v != "" {
			return v
		}
		return strings.TrimSpace(inAddress.Get(name))
	}

	var d draft
	for _, p := range parameters {
		name := p.name
		if renamed, ok := names[name]; ok {
			name = renamed
		}
		value := param(name)
		if value == "" {
			value = p.fallback
		}
		if value != "" && !p.read(&d, value) {
			return settings{}, fmt.Errorf("etcdv3 registry: parameter %s=%q cannot be used: accepted is %s", name, value, p.accepted)
		}
	}
	if names != nil && param("session") == "" {
		d.Cluster.Session = 0 // what is under the lease is not theirs: a registry decides
	}

	addresses, err := parseAddresses(location + "," + param(constant.BackupKey))
	if err != nil {
		return settings{}, err
	}
	s := d.settings
	s.Cluster.Endpoints = addresses.endpoints
	s.Cluster.Username, s.Cluster.Password = u.Username, u.Password
	if s.Cluster.Password, err = passwordOf(s.Cluster, d.passwordEnv); err != nil {
		return settings{}, err
	}
	switch hasUser, hasPassword := s.Cluster.Username != "", s.Cluster.Password != "" || s.Cluster.PasswordFile != ""; {
	case hasUser && !hasPassword:
		return settings{}, errors.New("etcdv3 registry: a user name is configured without a password")
	case hasPassword && !hasUser:
		return settings{}, errors.New("etcdv3 registry: a password is configured without a user name")
	}
	s.Cluster.Timeout = s.Timeout
	s.Cluster.Retry = retry.NTimes(d.retryTimes, d.retryInterval)
	s.Cluster.TLS.Enabled, err = wantsTLS(s.Cluster.TLS, addresses.scheme)
	return s, err
}

// passwordOf returns the password, unless it is in a file, which is read once so
// that a mistake is told when the service starts.
func passwordOf(c cluster.Config, env string) (string, error) {
	given := 0
	for _, source := range []string{c.Password, c.PasswordFile, env} {
		if source != "" {
			given++
		}
	}
	switch {
	case given > 1:
		return "", errors.New("etcdv3 registry: of password, password-file and password-env one is enough: configure one of them")
	case env != "":
		return os.Getenv(env), nil
	case c.PasswordFile != "":
		if _, err := cluster.ReadPassword(c.PasswordFile); err != nil {
			return "", fmt.Errorf("etcdv3 registry: %w", err)
		}
	}
	return c.Password, nil
}

// wantsTLS decides by the files configured and the scheme written whether
// connections use TLS, and reads the files the first time, so that a mistake in
// them is told when the service starts.
func wantsTLS(files cluster.TLS, scheme string) (bool, error) {
	configured := files != (cluster.TLS{})
	switch {
	case (files.Cert == "") != (files.Key == ""):
		return false, fmt.Errorf("etcdv3 registry: tls-cert-file=%q and tls-key-file=%q go together: configure both or none", files.Cert, files.Key)
	case configured && scheme == "http":
		return false, errors.New("etcdv3 registry: TLS is configured for an address that says http://: write https:// or no scheme")
	case !configured && scheme != "https":
		return false, nil
	}
	if err := files.Check(); err != nil {
		return false, fmt.Errorf("etcdv3 registry: %w", err)
	}
	return true, nil
}

// readPath accepts a path with or without slashes around it.
func readPath(v string, into *string) bool {
	v = strings.Trim(v, "/")
	*into = v
	return v != "" && !slices.Contains(strings.Split(v, "/"), "")
}

func joinPath(parts ...string) string {
	var b strings.Builder
	for _, p := range parts {
		if p != "" {
			b.WriteString("/" + p)
		}
	}
	return b.String()
}

// readDuration accepts a Go duration or, as in Dubbo for Java, a bare number
// of milliseconds.
func readDuration(v string, atLeast time.Duration, into *time.Duration) bool {
	d, err := time.ParseDuration(v)
	if err != nil {
		ms, numErr := strconv.ParseInt(v, 10, 64)
		if numErr != nil || ms < 0 || ms > math.MaxInt64/int64(time.Millisecond) {
			return false
		}
		d = time.Duration(ms) * time.Millisecond
	}
	*into = d
	return d >= atLeast && d >= 0
}

func readInt(v string, atLeast, atMost int, into *int) bool {
	n, err := strconv.Atoi(v)
	*into = n
	return err == nil && n >= atLeast && n <= atMost
}

func readBool(v string, into *bool) bool {
	b, err := strconv.ParseBool(v)
	*into = b
	return err == nil
}

// cachePath is where the cache file is; empty if there is to be none.
func (s settings) cachePath(application string) string {
	switch {
	case !s.caching:
		return ""
	case strings.HasPrefix(s.cacheFile, "~/"):
		if home, err := os.UserHomeDir(); err == nil {
			return filepath.Join(home, s.cacheFile[2:])
		}
		return s.cacheFile
	case s.cacheFile != "":
		return s.cacheFile
	}
	// Of several addresses Java's file name has the first: the others are its backup.
	path, err := cachefile.DefaultPath(application, s.Cluster.Endpoints[0])
	if err != nil {
		logger.Warnf("[etcdv3] there is no local cache file, this service cannot start without etcd: %v", err)
	}
	return path
}

// withoutSecrets returns a copy of an extension's URL, of which newSettings took
// the address, that may be shown.
func withoutSecrets(u *common.URL) *common.URL {
	shown := u.Clone()
	shown.Password = ""
	return shown
}
