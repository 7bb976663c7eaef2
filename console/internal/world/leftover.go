// SPDX-License-Identifier: Apache-2.0

package world

import "slices"

// What the garbage collection leaves, although it looks as if nobody used it, and why.
// An empty reason says that it does not leave it.

const underLease = "it is under a lease, and goes with that"

// KeepsName is why the name of an application stays in a mapping.
func (w *World) KeepsName(mapping *Entry, application string) (why string) {
	switch {
	case mapping.Lease != 0:
		return underLease
	case w.Provides(application):
		return application + " has providers at interface level"
	}
	return ""
}

// KeepsMetadata is why metadata stays of which no instance has the revision.
func (a *Application) KeepsMetadata(e *Entry) (why string) {
	switch {
	case e.Lease != 0:
		return underLease
	case e.Metadata == nil || e.Metadata.App == "":
		return "it does not say which application it is of"
	case slices.ContainsFunc(a.Instances, func(i *Entry) bool { return i.Instance == nil }):
		return "an instance of " + a.Name + " cannot be read, and may have it"
	}
	return ""
}

// KeepsKey is why the key of an interface stays that has nothing below it.
func (i *Interface) KeepsKey() (why string) {
	if i.Key.Lease != 0 {
		return underLease
	}
	return ""
}

// HasInstance says whether any application has one.
func (w *World) HasInstance() bool {
	for name := range w.Applications {
		if w.Alive(name) {
			return true
		}
	}
	return false
}

// collectable makes a problem of what is left over say what the garbage collection does
// with it.
func (w *World) collectable(p Problem, left string) Problem {
	p.Left = left
	switch {
	case left != "":
		p.Do = "nothing: console gc leaves it, as " + left
	case w.HasInstance():
		p.Do = "if it is gone for good: console gc"
	default:
		p.Do = "if it is gone for good, and no instance is registered in another etcd: console gc -no-instances"
	}
	return p
}
