// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/etcdtest"
	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

// Each deployment leaves the metadata of a revision. dubbo-go removes what is of no use
// when a process of the application starts, and once a night.
func TestAProcessThatStartsRemovesTheRevisionsThatNobodyHas(t *testing.T) {
	t.Parallel()
	etcd := etcdtest.Start(t)
	put := func(revision string, ago time.Duration) {
		testkit.Put(t, etcd.Client(), "/dubbo/x/"+revision, fmt.Sprintf(`{"app":"x","revision":%q,"services":{},"lastUpdatedTime":%d}`, revision, time.Now().Add(-ago).UnixMilli()))
	}
	const month = 30 * 24 * time.Hour
	for i := range 50 {
		put(fmt.Sprint("old", i), month)
	}
	put("used", month)
	put("young", time.Hour)
	testkit.Put(t, etcd.Client(), "/services/x/10.9.9.9:1", `{"host":"10.9.9.9","port":1,"metadata":{"dubbo.metadata.revision":"used"}}`)

	s := serving(instance(t, etcd, "new", "x", long), greet)
	s.RemoteMetadata = true
	start(t, s)
	left := func() string { return fmt.Sprint(testkit.Keys(t, etcd.Client(), "/dubbo/x/")) }
	eventually(t, left, func() bool { return len(testkit.Keys(t, etcd.Client(), "/dubbo/x/")) == 3 })
	require.Contains(t, left(), "/dubbo/x/used")
	require.Contains(t, left(), "/dubbo/x/young")
}
