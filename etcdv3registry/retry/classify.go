// SPDX-License-Identifier: Apache-2.0

package retry

import (
	"context"
	"errors"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// CanPass reports whether the same request may succeed later although nobody
// changes it: etcd was away, slow, without a leader, or short of something.
//
// It is false for what only an operator or a programmer can mend (wrong
// credentials, a missing permission, an invalid request), for a request that
// can only be answered after another one (a compacted revision), for a
// cancelled caller, and for nil.
func CanPass(err error) bool {
	switch {
	case err == nil,
		errors.Is(err, context.Canceled),
		errors.Is(err, clientv3.ErrNoAvailableEndpoints):
		return false
	case errors.Is(err, context.DeadlineExceeded):
		return true
	}
	// The client asks for a new token by itself when etcd rejects the old one
	// (after a restart with simple tokens, say): the next attempt has it.
	if is(err, rpctypes.ErrInvalidAuthToken) || is(err, rpctypes.ErrAuthOldRevision) {
		return true
	}
	// etcd's client does not send it, however often it is asked to.
	if strings.Contains(err.Error(), "trying to send message larger than max") {
		return false
	}
	// A lease that is gone is followed by a new one.
	if LeaseLost(err) {
		return true
	}
	switch code(err) {
	case codes.Unavailable, codes.DeadlineExceeded, codes.ResourceExhausted,
		codes.Aborted, codes.Internal, codes.Unknown, codes.DataLoss:
		return true
	case codes.Canceled: // by the server, as it stops; a client that was closed stays closed
		return !clientClosed(err)
	default:
		return false
	}
}

// LeaseLost reports whether etcd does not know the lease of the request: it
// expired or was revoked, and what was attached to it is gone.
func LeaseLost(err error) bool { return is(err, rpctypes.ErrLeaseNotFound) }

// Denied reports whether the user lacks the right to do what it was refused.
func Denied(err error) bool { return is(err, rpctypes.ErrPermissionDenied) }

// NotLetIn reports whether etcd refused the user, whatever was asked for: the password
// is wrong, or there is no user.
func NotLetIn(err error) bool {
	return is(err, rpctypes.ErrAuthFailed) || is(err, rpctypes.ErrUserEmpty)
}

// TokenRefused reports whether the token of the request is none, or none any more,
// to etcd: it expired, or users, passwords or roles were changed since. Requests are
// sent again with another one by etcd's client, streams are not.
func TokenRefused(err error) bool {
	return is(err, rpctypes.ErrInvalidAuthToken) || is(err, rpctypes.ErrAuthOldRevision) || is(err, rpctypes.ErrUserEmpty)
}

// Compacted reports whether the revision asked for is no longer in etcd's
// history: the caller has to list again.
func Compacted(err error) bool { return is(err, rpctypes.ErrCompacted) }

// is compares by etcd's message, which is the same on both sides of the wire:
// an error of the client is an EtcdError, one out of a stream a bare status.
func is(err error, target error) bool {
	return errors.Is(err, target) || errors.Is(rpctypes.Error(err), target) || errors.Is(whyCancelled(err), target)
}

// whyCancelled is the reason that etcd gave for not creating a watch, or ending it:
// its client makes an error of the text alone, which is of no kind. Nil: it is
// another error.
func whyCancelled(err error) error {
	if err == nil {
		return nil
	}
	if _, ok := status.FromError(err); ok {
		return nil
	}
	text := err.Error()
	_, reason, _ := strings.Cut(text[max(0, strings.LastIndex(text, "rpc error: code = ")):], " desc = ")
	var etcd rpctypes.EtcdError
	if errors.As(rpctypes.Error(status.Error(codes.Unknown, reason)), &etcd) {
		return etcd
	}
	return nil
}

// code finds the gRPC code in err, wrapped or not. An error that has none did
// not come from etcd (a broken pipe, a resolver): codes.Unknown.
func code(err error) codes.Code {
	var etcd rpctypes.EtcdError
	if errors.As(err, &etcd) || errors.As(whyCancelled(err), &etcd) {
		return etcd.Code()
	}
	return status.Code(err)
}

func clientClosed(err error) bool {
	s, ok := status.FromError(err)
	return ok && s.Message() == "grpc: the client connection is closing"
}
