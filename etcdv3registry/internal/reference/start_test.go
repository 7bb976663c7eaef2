// SPDX-License-Identifier: Apache-2.0

package reference

import (
	"testing"
	"testing/synctest"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/registry"
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
	assert.Empty(t, d.chain.Endpoints())
}

// leaving is a directory that is destroyed from inside the first call, in which
// something more changes.
type leaving struct {
	*fakeDirectory
	leave func()
}

func (l *leaving) NotifyAll(events []*registry.ServiceEvent, done func()) {
	l.fakeDirectory.NotifyAll(events, done)
	l.leave()
}

func TestAReferenceThatIsClosedFromInsideACallIsNotCalledAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 20 { // what it hears of first after the call is left to chance
			w := newWorld(t)
			w.mapTo("a")
			w.put("a", "10.0.0.1", 1)
			s, d := refer(t, w)
			s.listener = &leaving{d, func() {
				s.close()
				w.put("a", "10.0.0.2", 1)
				s.again <- struct{}{}
			}}
			require.NoError(t, s.start())
			synctest.Wait()
			require.Equal(t, []string{"all 1"}, d.told())
			require.Empty(t, w.open())
		}
	})
}

func TestAReferenceThatNamesNoProtocolCallsByTriple(t *testing.T) {
	assert.Equal(t, constant.TriProtocol, protocolOf(&common.URL{}))
	assert.Equal(t, "dubbo", protocolOf(common.NewURLWithOptions(common.WithProtocol("dubbo"))))
}
