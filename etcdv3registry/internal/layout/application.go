// SPDX-License-Identifier: Apache-2.0

package layout

import (
	"cmp"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"dubbo.apache.org/dubbo-go/v3/config_center"
)

// InstancePrefix is what the keys of an application's instances begin with
// (org.apache.dubbo.registry.etcd.EtcdServiceDiscovery).
func InstancePrefix(root, application string) string { return root + "/" + application + "/" }

// InstanceKey is the key of an instance: /services/<application>/<host>:<port>.
func InstanceKey(root, application, host string, port int) (string, error) {
	switch {
	case application == "" || strings.Contains(application, "/"):
		return "", fmt.Errorf("the application's name %q cannot be part of a key: configure dubbo.application.name, without a slash", application)
	case host == "" || strings.Contains(host, "/"):
		return "", fmt.Errorf("the host %q cannot be part of a key", host)
	case port < 0 || port > 65535:
		return "", fmt.Errorf("%d is no port", port)
	}
	return InstancePrefix(root, application) + host + ":" + strconv.Itoa(port), nil
}

// IsInstance reports whether a key below a prefix of InstancePrefix is that of an
// instance.
func IsInstance(key, prefix string) bool {
	address, ok := strings.CutPrefix(key, prefix)
	return ok && strings.Contains(address, ":") && !strings.Contains(address, "/")
}

// SplitInstance takes the last two segments of a key: the application and
// host:port.
func SplitInstance(key string) (application, address string) {
	slash := strings.LastIndexByte(key, '/')
	if slash < 0 {
		return "", key
	}
	application, address = key[:slash], key[slash+1:]
	return application[strings.LastIndexByte(application, '/')+1:], address
}

// ErrNoApplication is an application without a name.
var ErrNoApplication = errors.New("the application has no name")

// MetadataPrefix is what the keys of an application's revisions begin with.
func MetadataPrefix(root, application string) (string, error) {
	if application == "" {
		return "", ErrNoApplication
	}
	return root + "/" + application + "/", nil
}

// MetadataKey is the key of the metadata of a revision:
// /dubbo/<application>/<revision>, as dubbo-go's built-in report has it.
func MetadataKey(root, application, revision string) (string, error) {
	prefix, err := MetadataPrefix(root, application)
	if err == nil && revision == "" {
		err = fmt.Errorf("%s names no revision", application)
	}
	return prefix + revision, err
}

// RevisionOf returns the revision of a key below a prefix of MetadataPrefix; ok is
// false for what belongs to something else: an interface of the same name, in a
// registry.
func RevisionOf(key, prefix string) (revision string, ok bool) {
	revision, ok = strings.CutPrefix(key, prefix)
	return revision, ok && revision != "" && !strings.Contains(revision, "/")
}

// MappingKey is the key of the applications that serve an interface:
// /dubbo/<group>/<interface>, the group being "mapping"
// (org.apache.dubbo.registry.client.ServiceNameMapping).
func MappingKey(root, group, interfaceName string) (string, error) {
	if interfaceName == "" {
		return "", errors.New("the interface has no name")
	}
	return root + "/" + group + "/" + interfaceName, nil
}

// ConfigPrefix is what the keys of a group in the config center begin with.
func ConfigPrefix(root, group string) string {
	return root + "/" + cmp.Or(strings.Trim(group, "/"), config_center.DefaultGroup) + "/"
}

// ConfigKey is the key of a configuration or a rule: /dubbo/config/<group>/<key>
// (org.apache.dubbo.configcenter.support.etcd.EtcdDynamicConfiguration).
func ConfigKey(root, group, key string) (string, error) {
	if key = strings.TrimPrefix(key, "/"); key == "" {
		return "", errors.New("the key (data-id in the configuration) is empty")
	}
	return ConfigPrefix(root, group) + key, nil
}
