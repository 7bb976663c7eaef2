// SPDX-License-Identifier: Apache-2.0

package servicediscovery

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/metadata/info"
	"dubbo.apache.org/dubbo-go/v3/registry"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/extension"
)

const (
	greeter = "org.a.Greeter:tri"
	clock   = "org.a.Clock:tri"
)

// store is what etcd has of an application, and what its instances answer when
// they are asked for metadata.
type store struct {
	t    *testing.T
	app  *application
	feed *Feed
	all  map[string]*seen
	wake chan struct{}

	mu      sync.Mutex // guards what follows
	serves  map[string][]string
	silent  map[string]time.Duration // hosts that answer late
	failing map[string]bool          // hosts that do not answer
	asked   []string                 // host/revision, in order
}

func newStore(t *testing.T, cfg config) *store {
	s := &store{
		t: t, all: map[string]*seen{}, wake: make(chan struct{}, 1),
		serves: map[string][]string{}, silent: map[string]time.Duration{}, failing: map[string]bool{},
	}
	cfg.Root, cfg.metadata = "/services", s.metadata
	s.app = newApplication(New(cfg.Config, cfg.metadata), "app")
	s.feed = s.newFeed()
	t.Cleanup(func() {
		s.app.cancel()
		s.app.discovery.asking.Wait()
	})
	return s
}

func (s *store) newFeed() *Feed {
	f := &Feed{app: s.app, changed: s.wake, dirty: map[string]struct{}{}}
	s.app.feeds[f] = struct{}{}
	return f
}

func (s *store) metadata(_, revision string, i registry.ServiceInstance) (*info.MetadataInfo, error) {
	s.mu.Lock()
	s.asked = append(s.asked, i.GetHost()+"/"+revision)
	wait, fails := s.silent[i.GetHost()], s.failing[i.GetHost()]
	serves := s.serves[revision]
	s.mu.Unlock()
	time.Sleep(wait)
	if fails {
		return nil, errors.New("it does not answer")
	}
	services := map[string]*info.ServiceInfo{"odd": nil}
	for _, name := range serves {
		services[name] = info.NewServiceInfo(name, "", "", "tri", name, nil)
	}
	return info.NewMetadataInfoWithParams("app", revision, services), nil
}

// put notes an instance, as the view of etcd does.
func (s *store) put(host string, port int, revision string, endpoints ...registry.Endpoint) {
	key := "/services/app/" + host + ":" + strconv.Itoa(port)
	metadata := map[string]string{constant.ExportedServicesRevisionPropertyName: revision}
	if len(endpoints) > 0 {
		encoded, err := json.Marshal(endpoints)
		require.NoError(s.t, err)
		metadata[constant.ServiceInstanceEndpoints] = string(encoded)
	}
	s.all[key] = &seen{key: key, found: &found{instance: &registry.DefaultServiceInstance{
		ServiceName: "app", Host: host, Port: port, Metadata: metadata,
	}}}
	s.app.take(s.all, []string{key})
}

func (s *store) del(host string, port int) {
	key := "/services/app/" + host + ":" + strconv.Itoa(port)
	delete(s.all, key)
	s.app.take(s.all, []string{key})
}

// served returns who serves, out of all that the feed has said so far.
func (s *store) served(feed *Feed, into map[string]*Provider, matchKey string) []string {
	synctest.Wait()
	for _, c := range feed.Take() {
		if into[c.Key] = c.Provider; c.Provider == nil {
			delete(into, c.Key)
		}
	}
	var addresses []string
	for _, key := range slices.Sorted(maps.Keys(into)) {
		for _, u := range into[key].URLs(matchKey, into[key].Created(), feed.IsInstance) {
			addresses = append(addresses, u.Protocol+"://"+u.Location)
		}
	}
	return addresses
}

// answers has a host answer late, or not.
func (s *store) answers(host string, late time.Duration, fails bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.silent[host], s.failing[host] = late, fails
}

func (s *store) questions() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	asked := s.asked
	s.asked = nil
	return asked
}

func TestAnInstanceServesWhenItsMetadataIsKnownAndUntilItLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, known := newStore(t, config{}), map[string]*Provider{}
		s.serves["1"] = []string{"org.a.Greeter"}
		assert.False(t, s.feed.Settled())
		s.put("10.0.0.1", 20000, "1")
		s.put("10.0.0.2", 20000, "1")
		assert.Equal(t, []string{"tri://10.0.0.1:20000", "tri://10.0.0.2:20000"}, s.served(s.feed, known, greeter))
		assert.Empty(t, s.served(s.feed, known, clock))
		assert.True(t, s.feed.Settled())
		assert.Len(t, s.questions(), 1, "one of them is asked")
		s.put("10.0.0.3", 20000, "1")
		s.del("10.0.0.1", 20000)
		assert.Equal(t, []string{"tri://10.0.0.2:20000", "tri://10.0.0.3:20000"}, s.served(s.feed, known, greeter))
		assert.Empty(t, s.questions(), "what is known is not asked for again")
		s.put("10.0.0.2", 20000, "0")
		s.put("10.0.0.3", 20000, "")
		assert.Empty(t, s.served(s.feed, known, greeter), "they say that they serve nothing")
	})
}

func TestAnInstanceGoesOnAsItWasUntilWhatItsNewRevisionServesIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, known := newStore(t, config{}), map[string]*Provider{}
		s.serves["1"], s.serves["2"] = []string{"org.a.Greeter"}, []string{"org.a.Clock"}
		s.put("10.0.0.1", 20000, "1")
		assert.Len(t, s.served(s.feed, known, greeter), 1)
		s.answers("10.0.0.1", 0, true)
		s.put("10.0.0.1", 20000, "2")
		assert.Len(t, s.served(s.feed, known, greeter), 1, "it stands still")
		s.answers("10.0.0.1", 0, false)
		time.Sleep(time.Minute)
		assert.Empty(t, s.served(s.feed, known, greeter))
		assert.Len(t, s.served(s.feed, known, clock), 1, "it was asked again by itself")
	})
}

func TestWhoStandsStillDoesNotHoldUpTheOthersOfItsRevision(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, known := newStore(t, config{}), map[string]*Provider{}
		s.serves["1"] = []string{"org.a.Greeter"}
		for n := range 4 {
			host := fmt.Sprintf("10.0.0.%d", n+1)
			if n > 0 {
				s.answers(host, time.Minute, true)
			}
			s.put(host, 20000, "1")
		}
		begun := time.Now()
		for len(s.served(s.feed, known, greeter)) == 0 {
			<-s.wake
		}
		assert.LessOrEqual(t, time.Since(begun), 3*hedge)
		assert.Len(t, s.served(s.feed, known, greeter), 4)
	})
}

func TestWhoHasBeenAskedInVainIsSettledAndAskedAgainMoreAndMoreRarely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, config{})
		s.answers("10.0.0.1", 0, true)
		s.put("10.0.0.1", 20000, "1")
		synctest.Wait()
		assert.True(t, s.feed.Settled())
		time.Sleep(time.Hour)
		assert.InDelta(t, 360, len(s.questions()), 120, "every 10 s or so")
	})
}

func TestWhoJoinsIsAskedAtOnceWhileTheOthersAreLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, known := newStore(t, config{}), map[string]*Provider{}
		s.serves["1"] = []string{"org.a.Greeter"}
		s.answers("10.0.0.1", 0, true)
		s.put("10.0.0.1", 20000, "1")
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		s.questions()
		s.put("10.0.0.2", 20000, "1")
		assert.Len(t, s.served(s.feed, known, greeter), 2, "both are of the revision that is known now")
		assert.Equal(t, []string{"10.0.0.2/1"}, s.questions())
	})
}

func TestNobodyIsAskedForARevisionThatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, config{})
		s.answers("10.0.0.1", 0, true)
		s.put("10.0.0.1", 20000, "1")
		s.put("10.0.0.2", 20000, "2")
		time.Sleep(time.Minute)
		s.del("10.0.0.1", 20000)
		synctest.Wait()
		s.questions()
		time.Sleep(time.Hour)
		assert.Empty(t, s.questions())
		assert.Len(t, s.app.revisions, 1)
	})
}

func TestWhatPanicsOverMetadataIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, known := newStore(t, config{}), map[string]*Provider{}
		s.serves["1"] = []string{"org.a.Greeter"}
		ask, times := s.app.discovery.metadata, 0
		s.app.discovery.metadata = func(app, revision string, i registry.ServiceInstance) (*info.MetadataInfo, error) {
			if times++; times < 3 {
				panic("no such protocol")
			}
			return ask(app, revision, i)
		}
		s.put("10.0.0.1", 20000, "1")
		time.Sleep(time.Minute)
		assert.Len(t, s.served(s.feed, known, greeter), 1)
		assert.Equal(t, 3, times)
	})
}

func TestTheLastInstancesAreKeptWhereThatIsWanted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, known := newStore(t, config{Config: extension.Config{KeepLast: true}}), map[string]*Provider{}
		s.serves["1"] = []string{"org.a.Greeter"}
		s.put("10.0.0.1", 20000, "1")
		s.put("10.0.0.2", 20000, "1")
		s.del("10.0.0.1", 20000)
		s.del("10.0.0.2", 20000)
		assert.Equal(t, []string{"tri://10.0.0.2:20000"}, s.served(s.feed, known, greeter))
		s.put("10.0.0.3", 20000, "1")
		assert.Equal(t, []string{"tri://10.0.0.3:20000"}, s.served(s.feed, known, greeter))
	})
}

// A process with two protocols registers two instances, each of which names both.
func TestAnEndpointThatIsAnInstanceOfItsOwnIsServedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, known := newStore(t, config{}), map[string]*Provider{}
		s.serves["1"] = []string{"org.a.Greeter"}
		both := []registry.Endpoint{{Protocol: "tri", Port: 20000}, {Protocol: "dubbo", Port: 20001}}
		s.put("10.0.0.1", 20001, "1", both...)
		assert.Equal(t, []string{"tri://10.0.0.1:20000"}, s.served(s.feed, known, greeter), "as from Java, which registers one")
		s.put("10.0.0.1", 20000, "1", both...)
		assert.Equal(t, []string{"tri://10.0.0.1:20000"}, s.served(s.feed, known, greeter))
		assert.Empty(t, known["/services/app/10.0.0.1:20001"].URLs(greeter, 0, s.feed.IsInstance))
		s.del("10.0.0.1", 20000)
		assert.Equal(t, []string{"tri://10.0.0.1:20000"}, s.served(s.feed, known, greeter))
	})
}

// Where instances come and go (pods, each with an address of its own) nothing of
// them is to stay.
func TestNothingIsKeptOfInstancesThatHaveGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, config{})
		s.serves["1"] = []string{"org.a.Greeter"}
		both := []registry.Endpoint{{Protocol: "tri", Port: 20000}, {Protocol: "dubbo", Port: 20001}}
		for n := range 3 {
			s.put(fmt.Sprintf("10.0.0.%d", n), 20001, "1", both...)
		}
		synctest.Wait()
		s.put("10.0.0.0", 20000, "1", both...)
		s.put("10.0.0.1", 20001, "0")
		for n := range 3 {
			s.del(fmt.Sprintf("10.0.0.%d", n), 20001)
		}
		s.del("10.0.0.0", 20000)
		synctest.Wait()
		assert.Empty(t, s.app.instances)
		assert.Empty(t, s.app.serving)
		assert.Empty(t, s.app.revisions)
		assert.Empty(t, s.app.naming)
	})
}

func TestALaterReaderIsToldAllThatServes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, config{})
		s.serves["1"] = []string{"org.a.Greeter"}
		s.put("10.0.0.1", 20000, "1")
		synctest.Wait()
		later := s.newFeed()
		for key := range s.app.serving {
			later.dirty[key] = struct{}{}
		}
		assert.Len(t, s.served(later, map[string]*Provider{}, greeter), 1)
		assert.Empty(t, later.Take())
	})
}

func TestPatienceIsForAllAndComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var p Patience
		assert.Equal(t, 5*time.Second, p.Left(5*time.Second))
		p.Spend(3 * time.Second)
		assert.Equal(t, 2*time.Second, p.Left(5*time.Second))
		p.Spend(3 * time.Second)
		assert.Zero(t, p.Left(5*time.Second))
		time.Sleep(forgiven + time.Second)
		assert.Equal(t, 5*time.Second, p.Left(5*time.Second))
	})
}
