// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func (d *doctor) login(ctx context.Context) bool {
	user := d.Service.Username
	client, err := d.Service.DialTo(ctx, d.endpoints...)
	if err == nil {
		d.client = client
		asking, cancel := short(ctx)
		defer cancel()
		if user != "" {
			_, err = client.Authenticate(asking, user, d.Service.Password)
		} else {
			_, err = client.Get(asking, d.Service.Root()+"/", clientv3.WithLimit(1), clientv3.WithKeysOnly())
		}
	}
	switch {
	case err == nil && user == "":
		d.say(OK, "login", "", "etcd asks for no user")
	case err == nil:
		d.say(OK, "login", "", "etcd lets the user %s in", user)
	case is(err, rpctypes.ErrAuthNotEnabled):
		d.say(Warning, "login", "etcdctl auth enable, when all processes have their users", "etcd has its authentication off: whoever reaches it may do everything, whatever the user %s may", user)
	case user == "" && is(err, rpctypes.ErrPermissionDenied): // it is the user of a certificate
		d.say(OK, "login", "", "etcd takes the name in the certificate for the user")
	case is(err, rpctypes.ErrUserEmpty):
		d.say(Failed, "login", "configure username and password-file", "etcd asks for a user, and none is configured")
		return false
	case is(err, rpctypes.ErrAuthFailed):
		d.say(Failed, "login", "correct the password, or set it: etcdctl user passwd "+user, "etcd does not let the user %s in: the password is wrong, or there is no such user", user)
		return false
	case isNoEtcd(err):
		d.say(Failed, "login", after(err), "what answers at %s is no etcd: %s", strings.Join(d.endpoints, ", "), said(err))
		return false
	default:
		d.say(Failed, "login", after(err), "etcd does not let anybody in: %s", said(err))
		return false
	}
	return true
}

// is says whether an error is one of etcd, however it is wrapped.
func is(err, target error) bool {
	var known rpctypes.EtcdError
	if errors.As(target, &known) {
		return err != nil && strings.Contains(err.Error(), known.Error())
	}
	return err != nil && strings.Contains(err.Error(), status.Convert(target).Message())
}

// isNoEtcd says whether an answer is one that no etcd gives: of a service that speaks
// gRPC and has no such method, or of one that speaks HTTP/2 only, as a proxy that says
// 404. gRPC has no error of its own for the latter.
func isNoEtcd(err error) bool {
	answer, ok := status.FromError(err)
	return ok && (answer.Code() == codes.Unimplemented ||
		strings.Contains(answer.Message(), "unexpected HTTP status code") || strings.Contains(answer.Message(), "content-type"))
}

// after is what to do after an error that says nothing of what to do.
func after(err error) string {
	if isNoEtcd(err) {
		return "find out what listens there, a proxy or another service, and name the port where etcd has its clients (2379)"
	}
	return "look at the log of etcd"
}

// said is what etcd said.
func said(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Sprintf("it does not answer within %v", patience)
	}
	if s, ok := status.FromError(err); ok {
		return s.Message()
	}
	return err.Error()
}

// cluster makes sure that all endpoints are of one.
func (d *doctor) cluster(ctx context.Context) bool {
	of := map[uint64][]string{}
	for _, endpoint := range d.endpoints {
		asking, cancel := short(ctx)
		response, err := d.client.Status(asking, endpoint)
		cancel()
		if err != nil {
			d.say(Failed, "cluster", after(err), "%s does not tell its state: %s", endpoint, said(err))
			continue
		}
		d.statuses[endpoint] = response
		id := response.Header.ClusterId
		of[id] = append(of[id], endpoint)
		if response.IsLearner {
			d.say(Failed, "cluster", "take it out of the address, or promote it: etcdctl member promote", "%s is a learner, which serves nobody", endpoint)
		}
	}
	if len(of) > 1 {
		var each []string
		for _, endpoints := range of {
			each = append(each, strings.Join(endpoints, " and "))
		}
		d.say(Failed, "cluster", "name the members of one etcd only: services would find each other now and then", "these are different etcds: %s", strings.Join(sorted(each), ", and "))
		return false
	}
	asking, cancel := short(ctx)
	defer cancel()
	members, err := d.client.MemberList(asking)
	if err != nil {
		d.say(Skipped, "cluster", "", "the members are not known: %s", said(err))
		return len(d.statuses) > 0
	}
	switch n := len(members.Members); {
	case n == 1:
		d.say(Warning, "cluster", "for production take three members, on three machines", "etcd has one member: while that is away nobody can register")
	case n%2 == 0:
		d.say(Warning, "cluster", "add a member, or remove one", "etcd has %d members, and survives no more failures than %d would", n, n-1)
	case len(d.Service.Endpoints()) < n:
		d.say(Warning, "cluster", "name all of them in address, or set endpoints.sync", "etcd has %d members, and %d are named", n, len(d.Service.Endpoints()))
	default:
		d.say(OK, "cluster", "", "etcd has %d members", n)
	}
	return len(d.statuses) > 0
}
