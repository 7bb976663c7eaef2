// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"time"

	"github.com/dubbo-go-contrib/registry-etcdv3/console/internal/garbage"
	"github.com/dubbo-go-contrib/registry-etcdv3/console/internal/mask"
	"github.com/dubbo-go-contrib/registry-etcdv3/console/internal/target"
)

// collect is the command gc.
func collect(ctx context.Context, flags *flag.FlagSet, args []string) error {
	var named target.Target
	named.Flags(flags)
	dry := flags.Bool("dry-run", true, "only show what would be deleted; -dry-run=false deletes it")
	var o garbage.Options
	flags.DurationVar(&o.Age, "age", 10*time.Minute, "for how long something has to be of no use, as far as this command sees, before it is deleted")
	flags.DurationVar(&o.Grace, "grace", 30*time.Second, "for how long it stays, to put back what somebody turns out to need")
	flags.BoolVar(&o.Elsewhere, "no-instances", false, "go on although no application at all has an instance in this etcd")
	if err := parse(flags, args); err != nil {
		return err
	}
	o.Delete = !*dry
	told := map[garbage.Outcome]int{}
	o.Tell = func(outcome garbage.Outcome, p *garbage.Piece, note string) {
		told[outcome]++
		text := p.Why
		if note != "" {
			text += ": " + note
		}
		fmt.Printf("%-9s %s  (%s)\n", outcome, mask.Key(p.Key), text)
	}
	client, err := named.Dial(ctx)
	if err != nil {
		return err
	}
	reading, cancel := context.WithTimeout(ctx, 10*time.Second)
	_, err = client.Get(reading, named.Root()+"/")
	cancel()
	_ = client.Close()
	if err != nil {
		return fmt.Errorf("read etcd at %s: %w (console doctor says more)", named.Address, err)
	}
	if o.Delete {
		fmt.Printf("What is of no use for %v is deleted; this command watches for as long, and %v more\n", o.Age, o.Grace)
	}
	err = garbage.Collect(ctx, named.Dial, layoutOf(named), o)
	switch {
	case errors.Is(err, garbage.ErrNoInstance):
		return fmt.Errorf("%w (-no-instances goes on all the same)", err)
	case err != nil:
		return err
	case !o.Delete:
		fmt.Printf("%d found, nothing was deleted; -dry-run=false deletes\n", told[garbage.Found])
		if left := told[garbage.Left]; left > 0 {
			fmt.Printf("%d left in any case, for the reasons above\n", left)
		}
	default:
		fmt.Printf("%d deleted, %d kept, %d restored, %d left\n", told[garbage.Deleted], told[garbage.Kept], told[garbage.Restored], told[garbage.Left])
	}
	return nil
}
