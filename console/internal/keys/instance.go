// SPDX-License-Identifier: Apache-2.0

package keys

import (
	"encoding/json"
	"fmt"
	"strconv"

	"dubbo.apache.org/dubbo-go/v3/common/constant"
)

// InstanceInfo is the value of an instance, as this registry, dubbo-go's built-in one
// and Java write it.
type InstanceInfo struct {
	ServiceName string            `json:"serviceName"`
	Host        string            `json:"host"`
	Port        int               `json:"port"`
	Weight      int64             `json:"weight"`
	Enable      *bool             `json:"enable"`
	Enabled     *bool             `json:"enabled"`
	Healthy     *bool             `json:"healthy"`
	Tag         string            `json:"tag"`
	Metadata    map[string]string `json:"metadata"`
}

// Endpoint is a protocol that an instance speaks, and where.
type Endpoint struct {
	Port     int    `json:"port"`
	Protocol string `json:"protocol"`
}

func parseInstance(application, address string, value []byte) (*InstanceInfo, error) {
	var i InstanceInfo
	if err := json.Unmarshal(value, &i); err != nil {
		return nil, fmt.Errorf("its value is no instance as JSON: %w", err)
	}
	switch at := i.Host + ":" + strconv.Itoa(i.Port); {
	case at != address:
		return nil, fmt.Errorf("its value is that of %.200q", at)
	case i.ServiceName != "" && i.ServiceName != application:
		return nil, fmt.Errorf("its value is that of an instance of %.200q", i.ServiceName)
	}
	return &i, nil
}

// Disabled says whether the instance says that it is not to be called.
func (i *InstanceInfo) Disabled() bool {
	for _, said := range []*bool{i.Enabled, i.Enable} {
		if said != nil {
			return !*said
		}
	}
	return false
}

// Revision is that of the metadata, empty if it has none.
func (i *InstanceInfo) Revision() string {
	revision := i.Metadata[constant.ExportedServicesRevisionPropertyName]
	if revision == "0" { // what dubbo-go writes for an instance that serves nothing
		return ""
	}
	return revision
}

// Remote says whether the metadata is to be found in etcd, rather than asked of the
// instance.
func (i *InstanceInfo) Remote() bool {
	return i.Metadata[constant.MetadataStorageTypePropertyName] == constant.RemoteMetadataStorageType
}

// Endpoints are what it speaks.
func (i *InstanceInfo) Endpoints() []Endpoint {
	var endpoints []Endpoint
	_ = json.Unmarshal([]byte(i.Metadata[constant.ServiceInstanceEndpoints]), &endpoints) // what cannot be read is shown with the rest of the metadata
	return endpoints
}
