// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/dubbo-go-contrib/registry-etcdv3/console/internal/doctor"
	"github.com/dubbo-go-contrib/registry-etcdv3/console/internal/mask"
	"github.com/dubbo-go-contrib/registry-etcdv3/console/internal/target"
)

// examination is what -json prints for a registry.
type examination struct {
	Registry string           `json:"registry,omitempty"` // its name in the configuration
	Etcd     string           `json:"etcd"`
	Healthy  bool             `json:"healthy"` // nothing failed
	Findings []doctor.Finding `json:"findings"`
}

// examine is the command doctor.
func examine(ctx context.Context, flags *flag.FlagSet, args []string) error {
	var named target.Target
	named.Flags(flags)
	config := flags.String("config", "", "the configuration of a service (dubbo.yaml), instead of the flags that name an etcd")
	session := flags.Duration("session", target.DefaultSession, "the TTL of the leases, without -config")
	asJSON := flags.Bool("json", false, "print JSON")
	if err := parse(flags, args); err != nil {
		return err
	}
	services := []target.Service{{Target: named, Session: *session}}
	if *config != "" {
		var err error
		if services, err = target.Load(*config); err != nil {
			return usageError{err}
		}
	}
	healthy := true
	examinations := make([]examination, 0, len(services))
	for _, s := range services {
		e := examination{Registry: s.Registry, Etcd: mask.Value("", s.Address), Findings: []doctor.Finding{}}
		if !*asJSON {
			heading(s)
		}
		e.Healthy = doctor.Examine(ctx, doctor.Options{Service: s, Configured: *config != ""}, func(f doctor.Finding) {
			e.Findings = append(e.Findings, f)
			if !*asJSON {
				doctor.Print(os.Stdout, f)
			}
		})
		healthy = healthy && e.Healthy
		examinations = append(examinations, e)
	}
	if *asJSON {
		encoder := json.NewEncoder(os.Stdout)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(examinations); err != nil {
			return err
		}
	}
	if !healthy {
		return errFound
	}
	return nil
}

func heading(s target.Service) {
	if s.Registry == "" {
		fmt.Printf("etcd at %s\n", mask.Value("", s.Address))
		return
	}
	fmt.Printf("registry %s of %s: etcd at %s, registry-type %s, session %v\n",
		s.Registry, s.Application, mask.Value("", s.Address), s.Level, s.Session.Round(time.Millisecond))
}
