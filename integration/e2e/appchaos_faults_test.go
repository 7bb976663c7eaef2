// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"slices"
	"time"
)

// strike draws one fault and begins it. It goes on while the next one strikes,
// and is over, at the latest, some time after the last one.
func (c *appChaos) strike() {
	kinds := []struct {
		weight int
		begin  func() bool // false: there is nothing that this can happen to
	}{
		{4, c.comes},
		{3, c.ends},
		{5, c.isRedeployed},
		{2, c.rolls},
		{5, c.standsStill},
		{3, c.consumerRestarts},
		{2, c.consumerIsFirst},
		{1, c.allStartAgain},

		{3, c.etcdRestarts},
		{2, c.etcdPauses},
		{1, c.etcdIsWiped},
		{5, c.networkBreaks},

		{3, c.valueChanges},
		{1, c.keyIsDeleted},
		{1, c.leaseIsRevoked},
		{2, c.mappingIsDeleted},
		{2, c.mappingGrows},
		{1, c.metadataIsDeleted},
	}
	sum := 0
	for _, k := range kinds {
		sum += k.weight
	}
	for {
		n := c.random.IntN(sum)
		for _, k := range kinds {
			if n -= k.weight; n < 0 {
				if k.begin() {
					return
				}
				break
			}
		}
	}
}

// randomly draws how long something takes in a fault: mostly less than short.
func (c *appChaos) randomly(short, long time.Duration) time.Duration {
	if c.random.IntN(4) == 0 {
		return c.upTo(long)
	}
	return c.upTo(short)
}

func (c *appChaos) comes() bool {
	m := c.pick(absent)
	if m == nil {
		return false
	}
	offers := c.someOf(m.app.offers)
	if c.random.IntN(3) == 0 {
		c.move(m)
	}
	c.fault("an instance comes", "of %s at %s", m.app.name, m.address)
	c.launch(m, offers)
	return true
}

func (c *appChaos) ends() bool {
	if len(c.those(provides)) < 3 {
		return false
	}
	m := c.pick(provides)
	if m == nil {
		return false
	}
	how, end := c.ending()
	c.fault("an instance is "+how, "%v", m.run)
	end(m.leave(), func() {})
	return true
}

// isRedeployed mostly brings other services, and sometimes another address,
// where the new one may start first.
func (c *appChaos) isRedeployed() bool {
	m := c.pick(provides)
	if m == nil {
		return false
	}
	how, end := c.ending()
	offers, moves, first := c.otherOffers(m), c.random.IntN(3) == 0, c.random.IntN(2) == 0
	old := m.leave()
	if moves && c.move(m) {
		c.fault("an instance is redeployed at another address", "%v is %s, next are %s at %s", old, how, namesOf(offers), m.address)
		if first {
			c.launch(m, offers)
			end(old, func() {})
			return true
		}
	} else {
		c.fault("an instance is redeployed", "%v is %s, next are %s", old, how, namesOf(offers))
	}
	end(old, func() { c.launch(m, offers) })
	return true
}

func (c *appChaos) otherOffers(m *member) []service {
	if c.random.IntN(4) == 0 {
		return m.run.offers
	}
	return c.someOf(m.app.offers)
}

// rolls redeploys an application, one instance after the other.
func (c *appChaos) rolls() bool {
	one := c.pick(provides)
	if one == nil {
		return false
	}
	offers := c.otherOffers(one)
	instances := c.takeInstances(one)
	c.fault("an application is redeployed", "%d instance(s) of %s, next are %s", len(instances), one.app.name, namesOf(offers))
	interval := 200*time.Millisecond + c.upTo(time.Second)
	var next func(int)
	next = func(i int) {
		if i == len(instances) {
			return
		}
		c.stop(instances[i].leave(), func() {
			c.launch(instances[i], offers)
			c.after(interval, "the next instance", func() { next(i + 1) })
		})
	}
	next(0)
	return true
}

// takeInstances returns the instances of an application that run, and have no
// fault in this round yet; the one that was picked among them.
func (c *appChaos) takeInstances(picked *member) []*member {
	var instances []*member
	for _, m := range c.members {
		if m == picked || m.app == picked.app && runs(m) && !m.taken {
			m.taken = true
			instances = append(instances, m)
		}
	}
	return instances
}

// standsStill stops one process, or all of an application, without their
// noticing; sometimes somebody finds that and starts it again.
func (c *appChaos) standsStill() bool {
	one := c.pick(runs)
	if one == nil {
		return false
	}
	still := []*member{one}
	if c.random.IntN(4) == 0 {
		still = c.takeInstances(one)
	}
	d := time.Second + c.upTo(7*time.Second)
	if c.random.IntN(6) == 0 && provides(one) {
		c.fault("an instance stands still and is killed", "%v, after %v", one.run, d)
		one.run.process.freeze()
		offers := one.run.offers
		c.after(d, "it is killed", func() {
			c.kill(one.leave(), func() { c.launch(one, offers) })
		})
		return true
	}
	for _, m := range still {
		r := m.run
		c.fault("a process stands still", "%v, for %v", r, d)
		r.process.freeze()
		c.after(d, "it goes on", func() {
			r.process.thaw()
			c.Add("%s goes on", r.name)
		})
	}
	return true
}

func (c *appChaos) consumerRestarts() bool {
	m := c.pick(consumes)
	if m == nil {
		return false
	}
	how, end := c.ending()
	away := c.upTo(2 * time.Second)
	c.fault("a consumer starts again", "%v is %s, and starts after %v", m.run, how, away)
	offers := m.run.offers
	end(m.leave(), func() {
		c.after(away, "it starts", func() { c.launch(m, offers) })
	})
	return true
}

// consumerIsFirst has a consumer start when none of an application's instances
// runs, and those later.
func (c *appChaos) consumerIsFirst() bool {
	m := c.pick(consumes)
	if m == nil {
		return false
	}
	one := c.pick(func(m *member) bool { return provides(m) && !consumes(m) })
	if one == nil {
		return false
	}
	away := c.randomly(time.Second, 2*chaosSession)
	how, end := c.ending()
	offers := c.otherOffers(one)
	providers := c.takeInstances(one)
	c.fault("a consumer starts again before an application", "%v, and %d of %s, all %s, with %s after %v", m.run, len(providers), one.app.name, how, namesOf(offers), away)
	var ended int
	for _, p := range providers {
		end(p.leave(), func() { ended++ })
	}
	old := m.run.offers
	end(m.leave(), func() { ended++ })
	c.when(func() bool { return ended == len(providers)+1 }, "they end", func() {
		c.launch(m, old)
		c.after(away, "they start", func() {
			for _, p := range providers {
				c.launch(p, offers)
			}
		})
	})
	return true
}

// allStartAgain is a power cut, after which sometimes even etcd has forgotten
// everything.
func (c *appChaos) allStartAgain() bool {
	if slices.ContainsFunc(c.members, func(m *member) bool { return m.taken }) {
		return false
	}
	empty := c.random.IntN(2) == 0
	moments := make([]time.Duration, len(c.members))
	offers := make([][]service, len(c.members))
	for i, m := range c.members {
		m.taken = true
		moments[i], offers[i] = c.randomly(500*time.Millisecond, 3*time.Second), c.someOf(m.app.offers)
	}
	c.fault("all start again", "in an empty etcd: %v", empty)
	c.needEtcd()
	var all []int
	for i, m := range c.members {
		if runs(m) {
			all = append(all, i)
			c.kill(m.leave(), func() {})
		}
	}
	if empty {
		c.etcd.Wipe()
	}
	for _, i := range all {
		c.after(moments[i], "it starts", func() { c.launch(c.members[i], offers[i]) })
	}
	return true
}
