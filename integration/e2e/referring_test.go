// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"errors"
	"fmt"

	"dubbo.apache.org/dubbo-go/v3"
	"dubbo.apache.org/dubbo-go/v3/client"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
)

// referAll makes the references of the spec.
func (c *child) referAll(instance *dubbo.Instance) error {
	opts := []client.ClientOption{client.WithClientNoCheck()}
	if c.Timeout != 0 {
		opts = append(opts, client.WithClientRequestTimeout(c.Timeout))
	}
	var err error
	if c.client, err = instance.NewClient(opts...); err != nil {
		return err
	}
	for _, s := range c.References {
		if err := c.refer(s); err != nil {
			return err
		}
	}
	c.setReady()
	return nil
}

// refer makes a reference and calls it from now on.
func (c *child) refer(s service) error {
	if c.client == nil {
		return errors.New("there is no client")
	}
	// All references of a client share one configuration: what one sets is what the
	// next one has.
	var made *client.ReferenceOptions
	opts := []client.ReferenceOption{
		client.WithGroup(s.Group),
		client.WithVersion(s.Version),
		client.WithProtocol(s.Protocol.name()),
		client.WithProvidedBy(s.ProvidedBy),
		client.WithSerialization(constant.ProtobufSerialization),
		func(o *client.ReferenceOptions) { made = o },
	}
	c.referring.Lock()
	defer c.referring.Unlock()
	cli := &greetClient{plain: s.Protocol != triple}
	var err error
	if cli.plain {
		opts = append(opts, client.WithSerialization(constant.Hessian2Serialization))
		cli.conn, err = c.client.Dial(s.Interface, opts...)
	} else {
		cli.conn, err = c.client.DialWithInfo(s.Interface, s.clientInfo(), opts...)
	}
	if err != nil {
		return err
	}
	c.call(s, cli, made)
	return nil
}

// destroy ends a reference: nobody calls it any more, and it is destroyed as
// dubbo-go would. It has no API for that but the invoker's own.
func (c *child) destroy(s service) error {
	c.mu.Lock()
	l := c.loads[s.reference()]
	delete(c.loads, s.reference())
	c.mu.Unlock()
	if l == nil || l.made == nil {
		return fmt.Errorf("there is no reference %s", s.reference())
	}
	l.end()
	l.made.GetInvoker().Destroy()
	return nil
}
