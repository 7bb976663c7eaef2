// SPDX-License-Identifier: Apache-2.0

package etcdv3registry

import (
	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/metadata"
	"dubbo.apache.org/dubbo-go/v3/metadata/report"
	"github.com/dubbogo/gost/log/logger"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/layout"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/metadatareport"
)

// metadataReports is the framework's factory of metadata reports.
type metadataReports struct{}

// CreateMetadataReport reads the URL, and does nothing else before the report is
// used. It has no error to return: a report of which the URL is wrong returns it
// from every call.
func (metadataReports) CreateMetadataReport(u *common.URL) report.MetadataReport {
	s, err := newSettings(u, inMetadataReport)
	if err != nil {
		logger.Errorf("[etcdv3] the metadata report does not work: %v", err)
		return metadatareport.Broken(common.NewURLWithOptions(common.WithProtocol(Protocol)), err) // the address may be what is wrong, and hold a password
	}
	cfg := s.of(u, s.root())
	cfg.Services = joinPath(s.namespace, "services")
	cfg.CachePath = func(string) string { return s.cachePath(applicationOfProcess()) }
	return metadatareport.New(cfg)
}

// applicationOfProcess is the name of the application, which the URL of a
// metadata report does not have: that of what is referred to and exported.
func applicationOfProcess() string {
	service := metadata.GetMetadataService()
	for _, list := range []func() ([]*common.URL, error){service.GetSubscribedURLs, service.GetExportedServiceURLs} {
		if urls, err := list(); err == nil && len(urls) > 0 {
			return layout.ApplicationOf(urls...)
		}
	}
	return layout.ApplicationOf()
}
