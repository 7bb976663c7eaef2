// SPDX-License-Identifier: Apache-2.0

package sane

import (
	"slices"
	"strconv"
	"strings"

	"dubbo.apache.org/dubbo-go/v3/common"
	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/common/extension"
)

// rules say which values of a parameter the framework can be given. The parameter
// may be that of a method: Greet.loadbalance.
var rules = map[string]func(value string) bool{
	constant.LoadbalanceKey: func(v string) bool { return slices.Contains(extension.GetAllLoadbalanceNames(), v) },
	constant.ClusterKey:     func(v string) bool { _, err := extension.GetCluster(v); return err == nil },

	constant.ReferenceFilterKey: areFilters,
	constant.ServiceFilterKey:   areFilters,
	"filter":                    areFilters,

	constant.SerializationKey: isSerialization,

	constant.TPSLimiterKey:                      func(v string) bool { _, err := extension.GetTpsLimiter(v); return err == nil },
	constant.TPSLimitStrategyKey:                func(v string) bool { _, err := extension.GetTpsLimitStrategyCreator(v); return err == nil },
	constant.TPSRejectedExecutionHandlerKey:     isRejectedHandler,
	constant.ExecuteRejectedExecutionHandlerKey: isRejectedHandler,

	// The consistent hash has four points a node, and panics if it has none.
	"hash.nodes":     func(v string) bool { return isBetween(v, 4, 100_000) },
	"hash.arguments": areNumbers,

	constant.WeightKey: func(v string) bool { return isBetween(v, 0, 1_000_000_000) },
}

// isAccessLog reports whether an access log is no file: whoever can write to etcd
// would have a process write where it likes.
func isAccessLog(v string) bool {
	switch strings.ToLower(v) {
	case "true", "false", "default":
		return true
	default:
		return false
	}
}

// serializations are those of the framework's protocols, which do not say what
// they have.
var serializations = []string{constant.Hessian2Serialization, constant.ProtobufSerialization, constant.JSONSerialization, constant.MsgpackSerialization}

func isSerialization(v string) bool { return v == "" || slices.Contains(serializations, v) }

func isRejectedHandler(v string) bool {
	_, err := extension.GetRejectedExecutionHandler(v)
	return err == nil
}

func areFilters(v string) bool {
	for name := range strings.SplitSeq(v, ",") {
		if _, ok := extension.GetFilter(strings.TrimSpace(name)); !ok {
			return false
		}
	}
	return true
}

func areNumbers(v string) bool {
	for n := range strings.SplitSeq(v, ",") {
		if _, err := strconv.Atoi(strings.TrimSpace(n)); err != nil {
			return false
		}
	}
	return true
}

func isBetween(v string, least, most int) bool {
	n, err := strconv.Atoi(v)
	return err == nil && n >= least && n <= most
}

// ProviderParameter reports whether a consumer may be given a parameter of a
// provider. The provider's own filters are none of the consumer's affair.
func ProviderParameter(name, value string) bool {
	return IsPlain(name) && IsPlain(value) && (value == "" || name == constant.ServiceFilterKey || may(name, value))
}

// Override reports whether a rule may give a parameter to a URL.
func Override(name, value string) bool {
	if withoutMethod(name) == constant.AccessLogFilterKey && !isAccessLog(value) {
		return false
	}
	return IsPlain(name) && IsPlain(value) && (value == "" || may(name, value))
}

func may(name, value string) bool {
	if rule := rules[name]; rule != nil {
		return rule(value)
	}
	if strings.Contains(name, ".") {
		if rule := rules[withoutMethod(name)]; rule != nil {
			return rule(value)
		}
	}
	return true
}

// withoutMethod returns the name of a parameter without the method that it is for, and
// without the "default." that Java has before those of all providers.
func withoutMethod(name string) string {
	for rest, found := name, true; found; {
		if _, rest, found = strings.Cut(rest, "."); rules[rest] != nil || rest == constant.AccessLogFilterKey {
			return rest
		}
	}
	return name
}

// Parameters deletes the parameters of a provider that a consumer may not be
// given. The error says which; nil: there were none.
func Parameters(u *common.URL) error {
	var left []string
	u.RangeParams(func(name, value string) bool {
		if !ProviderParameter(name, value) {
			left = append(left, name)
		}
		return true
	})
	for _, name := range left {
		u.DelParam(name)
	}
	return LeftOut(left)
}

// Overrides deletes the parameters of a rule that it may not give to a URL; what
// begins with ~ is a condition. The error says which; nil: there were none.
func Overrides(u *common.URL) error {
	var left []string
	u.RangeParams(func(name, value string) bool {
		if !strings.HasPrefix(name, "~") && !Override(name, value) {
			left = append(left, name)
		}
		return true
	})
	for _, name := range left {
		u.DelParam(name)
	}
	return LeftOut(left)
}

// ParametersError is parameters that are left out, of something that is used all
// the same.
type ParametersError struct{ names []string }

// LeftOut returns the error of these parameters; nil if there are none.
func LeftOut(names []string) error {
	if len(names) == 0 {
		return nil
	}
	slices.Sort(names)
	return ParametersError{names}
}

func (e ParametersError) Error() string {
	return "this process cannot use them (they name an extension that it does not have, or make no sense)"
}

// Part says what is left out.
func (e ParametersError) Part() string { return "parameter(s) " + ShowAll(e.names) }
