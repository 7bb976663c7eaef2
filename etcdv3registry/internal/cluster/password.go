// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
)

// ReadPassword returns what a file holds, but for a line break at its end.
func ReadPassword(path string) (string, error) {
	content, err := readFile(path)
	password := strings.TrimRight(string(content), "\r\n")
	if err == nil && password == "" {
		err = errors.New("it is empty")
	}
	if err != nil {
		return "", fmt.Errorf("read password-file=%q: %w", path, err)
	}
	return password, nil
}

// passwordOf has each authentication use the password that a file holds then:
// etcd's client would use the one that it was made with, for ever. One that is being
// replaced at the moment is tried again, as one that is wrong is.
func passwordOf(file string) grpc.UnaryClientInterceptor {
	return func(ctx context.Context, method string, request, reply any, conn *grpc.ClientConn, invoke grpc.UnaryInvoker, opts ...grpc.CallOption) error {
		if r, ok := request.(*etcdserverpb.AuthenticateRequest); ok {
			if password, err := ReadPassword(file); err == nil {
				r.Password = password
			}
		}
		return invoke(ctx, method, request, reply, conn, opts...)
	}
}
