// SPDX-License-Identifier: Apache-2.0

// Package greeter is the service of the examples: one method, that takes a
// string and returns one, over Triple.
package greeter

import (
	"context"
	"fmt"
	"strings"

	"google.golang.org/protobuf/types/known/wrapperspb"
)

// Provider implements the service.
type Provider struct {
	Name string
}

// Greet says hello, and who says it.
func (p *Provider) Greet(_ context.Context, who *wrapperspb.StringValue) (*wrapperspb.StringValue, error) {
	return wrapperspb.String(fmt.Sprintf("Hello %s, this is provider %s", who.GetValue(), p.Name)), nil
}

// AnsweredBy returns the name of the provider that an answer comes from.
func AnsweredBy(answer string) string {
	return answer[strings.LastIndex(answer, " ")+1:]
}
