// SPDX-License-Identifier: Apache-2.0

package servicediscovery

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/metadata/info"
	"github.com/dubbogo/gost/log/logger"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/sane"
	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/retry"
)

// hedge is how long one instance is waited for before another one of the same
// revision is asked, too: one may stand still.
const hedge = 500 * time.Millisecond

// atOnce is how many instances a Discovery asks at a time: dubbo-go's providers
// have a revision each, as it is made of the time of their start, too.
const atOnce = 64

// againAfter spaces the rounds in which all instances of a revision were asked
// in vain.
func againAfter() retry.Policy { return retry.Backoff(200*time.Millisecond, 10*time.Second) }

// revision is what instances of one build of an application have in common: the
// metadata, which says what they serve. Any of them can be asked for it; they are
// asked until one answers, or none is left.
type revision struct {
	app    *application
	name   string
	ctx    context.Context // ends with the last instance
	cancel context.CancelFunc
	joined chan struct{} // a value: there may be an instance that was not asked yet

	// What follows is guarded by application.mu.
	instances map[string]*seen
	services  map[string]*info.ServiceInfo // by match key; nil: not known yet
	tried     bool                         // in vain
}

func newRevision(a *application, name string) *revision {
	ctx, cancel := context.WithCancel(a.ctx)
	return &revision{app: a, name: name, ctx: ctx, cancel: cancel, joined: make(chan struct{}, 1), instances: map[string]*seen{}}
}

// answer is what became of asking one instance.
type answer struct {
	services map[string]*info.ServiceInfo
	err      error
}

// run asks until it is known, or the revision ends. Whoever has been asked and
// has not answered is not waited for.
func (r *revision) run() {
	defer r.cancel()
	var (
		schedule = againAfter().BackOff()
		answers  = make(chan answer)
		asked    = map[string]*seen{} // in this round
		waiting  int                  // for those who have not answered
		next     = dueNow()           // when to ask another one; nil: nobody is left
		failed   bool                 // and the log was told
	)
	for {
		select {
		case <-r.ctx.Done():
			return
		case <-r.joined:
			switch s := r.another(asked); {
			case s == nil:
			case waiting == 0:
				next = dueNow()
			case next == nil:
				next = time.After(hedge)
			}
		case <-next:
			next = nil
			if r.another(asked) == nil && waiting == 0 {
				clear(asked) // a new round
			}
			if s := r.another(asked); s != nil {
				asked[s.key] = s
				waiting++
				next = time.After(hedge)
				r.app.discovery.asking.Go(func() {
					select {
					case answers <- r.ask(s):
					case <-r.ctx.Done():
					}
				})
			}
		case a := <-answers:
			waiting--
			switch {
			case a.err == nil:
				if failed {
					logger.Infof("[etcdv3] what revision %s of %s serves is known now, its instances are called", short(r.name), r.app.name)
				}
				r.app.known(r, a.services)
				return
			case r.another(asked) != nil:
				next = dueNow()
			case waiting == 0:
				if !failed {
					logger.Warnf("[etcdv3] none of %d instance(s) of %s says what its revision %s serves: asked again in the background, they are not called for it before: %v",
						len(asked), r.app.name, short(r.name), sane.Show(a.err.Error()))
				}
				failed = true
				r.app.tried(r)
				next = time.After(schedule.NextBackOff())
			}
		}
	}
}

// dueNow has a value already. A timer of no time would do, but in a bubble of synctest
// Go's race detector breaks down when several goroutines find one due at the same moment.
func dueNow() <-chan time.Time {
	due := make(chan time.Time, 1)
	due <- time.Now()
	return due
}

// short is how a revision is shown in the log.
func short(revision string) string { return sane.Show(revision[:min(len(revision), 12)]) }

// another returns an instance, as it is now, that is not among those asked: any,
// as consumers that start together are not to ask the same one. Nil: there is
// none.
func (r *revision) another(asked map[string]*seen) *seen {
	r.app.mu.Lock()
	defer r.app.mu.Unlock()
	for key, s := range r.instances {
		if asked[key] != s {
			return s
		}
	}
	return nil
}

// ask asks one instance. Whatever it may say or be, that ends here.
func (r *revision) ask(s *seen) (a answer) {
	release, ok := exchanges.Take(r.ctx, s.instance.Host+" "+s.instance.Metadata[constant.MetadataServiceURLParamsPropertyName])
	if !ok {
		return answer{err: r.ctx.Err()}
	}
	defer release()
	select {
	case r.app.discovery.slots <- struct{}{}:
		defer func() { <-r.app.discovery.slots }()
	case <-r.ctx.Done():
		return answer{err: r.ctx.Err()}
	}
	defer func() {
		if p := recover(); p != nil {
			a = answer{err: fmt.Errorf("the framework panicked over it: %v", p)}
		}
	}()
	metadata, err := r.app.discovery.metadata(r.app.name, r.name, incarnationOf(s.instance, s.created))
	switch {
	case err != nil:
		return answer{err: err}
	case metadata == nil:
		return answer{err: errors.New("there is no metadata")}
	}
	services, left := servicesOf(metadata)
	if left != nil {
		r.app.view.feed.Skip(s.key, left)
	}
	return answer{services: services}
}

// servicesOf returns the services of an application by their match keys:
// group/interface:version:protocol. The error says which of their parameters are
// left out.
func servicesOf(metadata *info.MetadataInfo) (map[string]*info.ServiceInfo, error) {
	services := make(map[string]*info.ServiceInfo, len(metadata.Services))
	left := map[string]bool{}
	for _, service := range metadata.Services {
		if service == nil {
			continue
		}
		own := *service // the framework has it, too: it is read, and nothing else
		own.Params = maps.Clone(own.Params)
		maps.DeleteFunc(own.Params, func(name, value string) bool {
			if !sane.ProviderParameter(name, value) {
				left[name] = true
			}
			return left[name]
		})
		services[own.GetMatchKey()] = &own
	}
	return services, sane.LeftOut(slices.Collect(maps.Keys(left)))
}
