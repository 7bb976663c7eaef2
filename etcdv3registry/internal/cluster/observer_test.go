// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// after answers when a time has passed, as etcd at the other end of a slow
// network, or as the client if its caller gives up before.
func after(d time.Duration, err error) grpc.UnaryInvoker {
	return func(ctx context.Context, _ string, _, _ any, _ *grpc.ClientConn, _ ...grpc.CallOption) error {
		select {
		case <-time.After(d):
			return err
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		}
	}
}

func (o *observer) ask(ctx context.Context, invoke grpc.UnaryInvoker) {
	_ = o.unary(ctx, "/etcdserverpb.KV/Range", nil, nil, nil, invoke)
}

// waits is how long a call of the framework that may wait five seconds waits.
func (o *observer) waits() time.Duration {
	until, _ := o.deadline(5 * time.Second)
	return time.Until(until)
}

const never = time.Hour

func TestWaitsOfManyCallsDoNotAddUpWhileEtcdIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var o observer
		assert.Equal(t, 5*time.Second, o.waits())
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		go o.ask(ctx, after(never, nil))
		time.Sleep(time.Second)
		assert.Equal(t, 4*time.Second, o.waits(), "while the first waits")
		time.Sleep(2 * time.Second)
		assert.Equal(t, 2*time.Second, o.waits(), "when it was not answered")
		go o.ask(t.Context(), after(time.Second, nil))
		time.Sleep(500 * time.Millisecond)
		assert.Equal(t, 1500*time.Millisecond, o.waits(), "while another one waits")
		time.Sleep(time.Second)
		assert.Equal(t, 5*time.Second, o.waits(), "when that was answered")
	})
}

func TestUnreachableEtcdIsSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var o observer
		o.ask(t.Context(), after(time.Second, status.Error(codes.Unavailable, "connection refused")))
		assert.Equal(t, 4*time.Second, o.waits())
		o.ask(t.Context(), after(time.Second, status.Error(codes.PermissionDenied, "etcdserver: permission denied")))
		assert.Equal(t, 5*time.Second, o.waits(), "a refusal is an answer")
	})
}

func TestRequestThatItsCallerGaveUpSaysNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var o observer
		ctx, cancel := context.WithCancel(t.Context())
		go o.ask(ctx, after(never, nil))
		time.Sleep(100 * time.Millisecond)
		cancel()
		time.Sleep(6 * time.Second)
		assert.Equal(t, 5*time.Second, o.waits())

		// That of another one is left out, what etcd owes besides is not.
		ctx, cancel = context.WithCancel(t.Context())
		go o.ask(ctx, after(never, nil))
		time.Sleep(time.Second)
		go o.ask(t.Context(), after(2*time.Second, nil))
		time.Sleep(time.Second)
		assert.Equal(t, 3*time.Second, o.waits())
		cancel()
		synctest.Wait()
		assert.Equal(t, 4*time.Second, o.waits())
		time.Sleep(2 * time.Second)
		assert.Equal(t, 5*time.Second, o.waits())
	})
}

func TestEtcdThatAnsweredAnotherRequestWasNotSilentBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var o observer
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		go o.ask(ctx, after(never, nil))
		time.Sleep(2 * time.Second)
		o.answer()
		time.Sleep(500 * time.Millisecond)
		assert.Equal(t, 4500*time.Millisecond, o.waits(), "while it waits")
		time.Sleep(time.Second)
		assert.Equal(t, 3500*time.Millisecond, o.waits(), "when it was not answered")
	})
}

// A request was not answered, long ago, and there was no other since: of two
// that come now the second waits as the first does.
func TestSilenceOfLongAgoShortensNoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var o observer
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		o.ask(ctx, after(never, nil))
		time.Sleep(time.Minute)
		assert.Equal(t, 5*time.Second, o.waits())
		go o.ask(t.Context(), after(time.Second, nil))
		synctest.Wait()
		assert.Equal(t, 5*time.Second, o.waits())
		time.Sleep(2 * time.Second)
	})
}

// Who comes later may have no time left to find out by himself.
func TestAnEtcdThatIsSilentHasAReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var o observer
		reason := func() error {
			_, reason := o.deadline(5 * time.Second)
			return reason
		}
		assert.NoError(t, reason())
		o.ask(t.Context(), after(time.Second, status.Error(codes.Unavailable, "certificate has expired")))
		assert.ErrorContains(t, reason(), "certificate has expired")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		o.ask(ctx, after(never, nil))
		assert.ErrorContains(t, reason(), "certificate has expired", "that it took too long says less")
		o.ask(t.Context(), after(time.Second, nil))
		assert.NoError(t, reason())
	})
}
