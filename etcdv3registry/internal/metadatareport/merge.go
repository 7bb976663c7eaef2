// SPDX-License-Identifier: Apache-2.0

package metadatareport

import (
	"dubbo.apache.org/dubbo-go/v3/metadata/report"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/desired"
)

// What this process writes others write as well: every instance of an application
// its metadata, every application of an interface its name.

// mapped desires that an application is among the names in the key.
type mapped struct{ application string }

func (m mapped) Part() string { return m.application }

func (m mapped) Apply(now desired.Content, _ bool) desired.Content {
	merged, _ := report.MergeServiceAppMapping(now.Value, m.application)
	return desired.Content{Value: merged, Exists: true}
}

// published desires metadata: it replaces what is there once, as other instances
// of the revision refresh it as well, and is put again if nothing is.
type published struct{ content string }

func (published) Part() string { return "" }

func (p published) Apply(now desired.Content, first bool) desired.Content {
	if now.Exists && !first {
		return now
	}
	return desired.Content{Value: p.content, Exists: true}
}
