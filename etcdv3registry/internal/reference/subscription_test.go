// SPDX-License-Identifier: Apache-2.0

package reference

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/metadata/report"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/servicediscovery"
)

// refer makes a subscription to the greeter, which is closed with the test.
func refer(t *testing.T, w *world, params ...string) (*subscription, *fakeDirectory) {
	u := common.NewURLWithOptions(common.WithProtocol("tri"), common.WithPath(greeter), common.WithInterface(greeter))
	for i := 0; i < len(params); i += 2 {
		u.SetParam(params[i], params[i+1])
	}
	d := newDirectory()
	s := newSubscription(w, common.NewURLWithOptions(), u, d, d.chain)
	s.names.reports = func() []report.MetadataReport { return []report.MetadataReport{worldReport{world: w}} }
	t.Cleanup(s.close)
	return s, d
}

func TestAReferenceThatStartsIsToldAllAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.mapTo("a", "b")
		w.put("a", "10.0.0.1", 1)
		w.put("b", "10.0.0.2", 1)
		s, d := refer(t, w)
		begun := time.Now()
		require.NoError(t, s.start())
		assert.Zero(t, time.Since(begun))
		assert.Equal(t, []string{"all 2"}, d.told())
		w.put("b", "10.0.0.3", 1)
		w.put("a", "10.0.0.1", 2)
		w.set("b", "10.0.0.2", nil)
		synctest.Wait()
		assert.ElementsMatch(t, []string{"add 10.0.0.3 1", "update 10.0.0.1 2", "delete 10.0.0.2 1"}, d.told())
		assert.Equal(t, []string{"10.0.0.1", "10.0.0.3"}, d.hosts())
		w.overrides()
		synctest.Wait()
		assert.Equal(t, []string{"all 2"}, d.told(), "so that it applies them")
	})
}

func TestAnApplicationThatJoinsTakesNobodyAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s, d := refer(t, w)
		require.NoError(t, s.start())
		assert.Empty(t, d.told())
		w.put("a", "10.0.0.1", 1)
		w.mapTo("a")
		synctest.Wait()
		assert.Equal(t, []string{"all 1"}, d.told())
		w.put("b", "10.0.0.2", 1)
		w.mapTo("a", "b")
		synctest.Wait()
		w.put("a", "10.0.0.3", 1)
		synctest.Wait()
		assert.Equal(t, []string{"add 10.0.0.2 1", "add 10.0.0.3 1"}, d.told())
	})
}

func TestAnApplicationWhoseNameGotLostIsCalledAsLongAsItServes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.mapTo("a", "b")
		w.put("a", "10.0.0.1", 1)
		s, d := refer(t, w)
		require.NoError(t, s.start())
		d.told()
		w.mapTo()
		synctest.Wait()
		assert.Empty(t, d.told())
		assert.Equal(t, []string{"a"}, w.open(), "b has nobody")
		w.set("a", "10.0.0.1", nil)
		synctest.Wait()
		assert.Equal(t, []string{"delete 10.0.0.1 1"}, d.told())
		assert.Empty(t, w.open())
		w.put("a", "10.0.0.1", 1)
		w.mapTo("a")
		synctest.Wait()
		assert.Equal(t, []string{"add 10.0.0.1 1"}, d.told())
	})
}

// A start from the cache file, or another store.
func TestAnInstanceThatIsNewByItsStartAloneGoesOnAsItWas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.mapTo("a")
		w.set("a", "10.0.0.1", serving("a", "10.0.0.1", 20000, 1, 0))
		s, d := refer(t, w)
		require.NoError(t, s.start())
		assert.Equal(t, []string{"all 1"}, d.told())
		w.put("a", "10.0.0.1", 1)
		synctest.Wait()
		assert.Empty(t, d.told())
		w.put("a", "10.0.0.1", 2)
		synctest.Wait()
		assert.Equal(t, []string{"update 10.0.0.1 2"}, d.told())
		w.set("a", "10.0.0.1", nil)
		synctest.Wait()
		assert.Empty(t, d.hosts())
	})
}

func TestWhoComesIsToldOfBeforeWhoGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.mapTo("a")
		w.put("a", "10.0.0.1", 1)
		s, d := refer(t, w)
		require.NoError(t, s.start())
		d.told()
		w.setAll("a", map[string]*servicediscovery.Provider{"10.0.0.1": nil, "10.0.0.2": serving("a", "10.0.0.2", 20000, 1, 7)})
		synctest.Wait()
		assert.Equal(t, []string{"add 10.0.0.2 1", "delete 10.0.0.1 1"}, d.told())
	})
}

func TestApplicationsThatTheReferenceNamesAreNotLookedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.put("b", "10.0.0.2", 1)
		s, d := refer(t, w, constant.ProvidedBy, "a, b")
		require.NoError(t, s.start())
		assert.Equal(t, []string{"10.0.0.2"}, d.hosts())
		w.put("a", "10.0.0.1", 1)
		synctest.Wait()
		assert.Equal(t, []string{"10.0.0.1", "10.0.0.2"}, d.hosts())
		assert.Empty(t, w.mappings)
	})
}

func TestAReportThatFailsIsAnErrorAndHeardOfLaterAllTheSame(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.fails = assert.AnError
		w.put("a", "10.0.0.1", 1)
		s, d := refer(t, w)
		require.ErrorIs(t, s.start(), assert.AnError)
		w.mapTo("a")
		synctest.Wait()
		assert.Equal(t, []string{"10.0.0.1"}, d.hosts())
	})
}

func TestAnUnsettledApplicationIsWaitedForNotForLongAndNotByEachReference(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.mapTo("a")
		w.settle("a", false)
		begun := time.Now()
		for range 5 {
			s, _ := refer(t, w)
			require.NoError(t, s.start())
		}
		assert.Equal(t, w.Timeout()+4*little, time.Since(begun), "in all")

		time.Sleep(time.Hour)
		begun = time.Now()
		s, _ := refer(t, w)
		time.AfterFunc(time.Second, func() { w.settle("a", true) })
		require.NoError(t, s.start())
		assert.Equal(t, time.Second, time.Since(begun))

		w.settle("a", false)
		w.put("a", "10.0.0.1", 1)
		begun = time.Now()
		s, _ = refer(t, w)
		require.NoError(t, s.start())
		assert.Equal(t, complete, time.Since(begun), "with a provider a reference can begin")
	})
}

func TestAListThatTheDirectoryPanicsOverIsToldOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.mapTo("a")
		for n := range 3 {
			w.put("a", fmt.Sprintf("10.0.0.%d", n+1), 1)
		}
		s, d := refer(t, w)
		d.panics["10.0.0.2"] = true
		require.NoError(t, s.start())
		assert.Equal(t, []string{"10.0.0.1", "10.0.0.3"}, d.hosts())
	})
}

func TestNothingIsToldAfterClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.mapTo("a")
		w.put("a", "10.0.0.1", 1)
		s, d := refer(t, w)
		other, kept := refer(t, w)
		require.NoError(t, s.start())
		require.NoError(t, other.start())
		s.close()
		s.close()
		d.told()
		w.put("a", "10.0.0.2", 1)
		w.mapTo("a", "b")
		synctest.Wait()
		assert.Empty(t, d.told())
		assert.Len(t, kept.hosts(), 2, "the other one goes on")
		assert.Len(t, w.mappings, 1)
		assert.Equal(t, []string{"a", "b"}, w.open())
		require.Error(t, s.start(), "it has been closed")
		synctest.Wait()
		assert.Len(t, w.mappings, 1)
	})
}
