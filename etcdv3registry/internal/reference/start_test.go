// SPDX-License-Identifier: Apache-2.0

package reference

import (
	"testing"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/extension"
)

// closed is a source that has ended.
type closed struct{ *world }

func (closed) OnOverrides(func()) (func(), error) { return nil, extension.ErrClosed }

func TestAReferenceToWhatHasEndedSaysSo(t *testing.T) {
	w := newWorld(t)
	s, d := refer(t, w)
	s.source = closed{w}
	require.ErrorIs(t, s.start(), extension.ErrClosed)
	s.close()
	assert.Empty(t, d.chain.endpoints())
}

func TestAReferenceThatNamesNoProtocolCallsByTriple(t *testing.T) {
	assert.Equal(t, constant.TriProtocol, protocolOf(&common.URL{}))
	assert.Equal(t, "dubbo", protocolOf(common.NewURLWithOptions(common.WithProtocol("dubbo"))))
}
