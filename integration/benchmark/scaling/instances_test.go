// SPDX-License-Identifier: Apache-2.0

package scaling_test

import (
	"fmt"
	"sync"
	"time"

	"dubbo.apache.org/dubbo-go/v3/registry"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

// perService is how many providers a service has where keys are what there is
// more and more of.
const perService = 100

// filled is what etcd makes of so many keys of providers.
type filled struct {
	instances int
	perSecond float64 // keys registered
	known     time.Duration
	back      time.Duration
	memory    float64 // MiB, of the largest member
	inUse     float64 // MiB of its database
	database  float64 // MiB
	load
	problem string
}

// filling has few processes register more and more providers.
type filling struct {
	*scene
	registries []registry.Registry
	size       int
}

func newFilling(s *scene) *filling {
	s.t.Helper()
	f := &filling{scene: s}
	for i := range 8 {
		r, err := openRegistry(s.etcd.Endpoints(), i)
		require.NoError(s.t, err)
		s.t.Cleanup(r.Destroy)
		f.registries = append(f.registries, r)
	}
	return f
}

// fill registers providers until there are so many, and looks what that costs:
// who starts then, and a member that is killed.
func (f *filling) fill(size int) filled {
	f.t.Helper()
	r := filled{instances: size}
	before := f.now()
	var group errgroup.Group
	group.SetLimit(512)
	for i := f.size; i < size; i++ {
		group.Go(func() error {
			return f.registries[i%len(f.registries)].Register(provider(i/perService, fleetAddress(i)))
		})
	}
	if err := group.Wait(); err != nil {
		r.problem = err.Error()
		return r
	}
	end := f.now()
	r.load = end.since(before)
	r.perSecond = float64(size-f.size) / r.seconds
	f.size = size
	if r.known, r.problem = f.discover(); r.problem != "" {
		return r
	}
	leader := f.etcd.Leader()
	leader.Kill()
	begin := time.Now()
	leader.Start()
	r.back = time.Since(begin)
	end = f.now()
	r.memory = end.largestMember("process_resident_memory_bytes") / (1 << 20)
	r.inUse = end.largestMember("etcd_mvcc_db_total_size_in_use_in_bytes") / (1 << 20)
	r.database = end.largestMember("etcd_mvcc_db_total_size_in_bytes") / (1 << 20)
	return r
}

// discover is how long one process that starts takes until it knows all
// providers of all services.
func (f *filling) discover() (took time.Duration, problem string) {
	f.t.Helper()
	r, err := openRegistry(f.etcd.Endpoints(), 1<<15)
	require.NoError(f.t, err)
	defer r.Destroy()
	begin := time.Now()
	var (
		group errgroup.Group
		mu    sync.Mutex
		known int
	)
	group.SetLimit(32)
	for b := range f.size / perService {
		group.Go(func() error {
			l := newReference(0, b)
			if err := r.LoadSubscribeInstances(consumer(b, 0), l); err != nil {
				return err
			}
			if err := r.Subscribe(consumer(b, 0), l); err != nil {
				return err
			}
			l.mu.Lock()
			defer l.mu.Unlock()
			mu.Lock()
			defer mu.Unlock()
			known += len(l.known)
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return 0, err.Error()
	}
	if known != f.size {
		return 0, fmt.Sprintf("a consumer that starts knows %d providers, of %d", known, f.size)
	}
	return time.Since(begin), ""
}
