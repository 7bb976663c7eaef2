// SPDX-License-Identifier: Apache-2.0

package configcenter

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"dubbo.apache.org/dubbo-go/v3/common/constant"
	"dubbo.apache.org/dubbo-go/v3/config_center/parser"
	"dubbo.apache.org/dubbo-go/v3/global"
	"gopkg.in/yaml.v3"

	"github.com/dubbo-go-contrib/registry-etcdv3/etcdv3registry/internal/sane"
)

// The framework's routers run in each call, in the caller's goroutine: a rule that
// they panic over ends the process, and one that is too large slows every call down.
const (
	// maxRouting is how many bytes a rule of a router may have, and the texts in it:
	// YAML may repeat a text by its name.
	maxRouting = 64 << 10
	// maxParts is how many conditions, destinations or tags a rule may have.
	maxParts = 1000
	// maxShare is how large the weight of a destination may be: their sum has to be
	// a number.
	maxShare = 1_000_000
)

// usable returns a rule as the framework can bear it. What is not that of a router,
// or cannot be read at all, is as it was: the framework says so in its log.
func usable(path, rule string) (told string, err error) {
	check := routings[path[strings.LastIndexByte(path, '.')+1:]]
	if check == nil {
		return rule, nil
	}
	if len(rule) > maxRouting {
		return "", fmt.Errorf("it has more than %d bytes", maxRouting)
	}
	defer func() {
		if p := recover(); p != nil { // of the YAML library
			told, err = "", fmt.Errorf("reading it has panicked: %v", p)
		}
	}()
	var all any
	if yaml.Unmarshal([]byte(rule), &all) != nil {
		return rule, nil
	}
	if left := maxRouting; !arePlain(all, &left) {
		return "", fmt.Errorf("its texts have line breaks or control characters, or more than %d bytes in all", maxRouting)
	}
	return check(rule)
}

// routings check rules, by the end of their keys.
var routings = map[string]func(rule string) (string, error){
	strings.TrimPrefix(constant.ConditionRouterRuleSuffix, "."): usableConditions,
	strings.TrimPrefix(constant.TagRouterRuleSuffix, "."):       usableTags,
	strings.TrimPrefix(constant.AffinityRuleSuffix, "."):        usableAffinity,
}

// arePlain looks at all texts of a rule, which are at most as many bytes as are
// left: the framework logs them.
func arePlain(v any, left *int) bool {
	*left--
	switch v := v.(type) {
	case string:
		*left -= len(v)
		return *left >= 0 && sane.IsPlain(v)
	case []any:
		for _, one := range v {
			if !arePlain(one, left) {
				return false
			}
		}
	case map[string]any:
		for name, one := range v {
			if !arePlain(name, left) || !arePlain(one, left) {
				return false
			}
		}
	case map[any]any:
		for name, one := range v {
			if !arePlain(name, left) || !arePlain(one, left) {
				return false
			}
		}
	}
	return *left >= 0
}

func usableConditions(rule string) (string, error) {
	var all map[string]any
	if yaml.Unmarshal([]byte(rule), &all) != nil {
		return rule, nil
	}
	if _, ok := all["configVersion"].(string); !ok && all["configVersion"] != nil { // the framework would log all of the rule
		return "", errors.New("its configVersion is no text")
	}
	var several global.ConditionRouter // of v3.1 and later
	if yaml.Unmarshal([]byte(rule), &several) == nil {
		if err := checkDestinations(several.Conditions); err != nil {
			return "", err
		}
	}
	var simple global.RouterConfig
	if yaml.Unmarshal([]byte(rule), &simple) != nil {
		return rule, nil
	}
	if len(simple.Conditions) > maxParts {
		return "", errTooMany
	}
	for _, condition := range simple.Conditions {
		when, then, ok := strings.Cut(withoutSides(condition), "=>")
		if !ok {
			when, then = "", when
		}
		if err := errors.Join(checkRequest(when), checkProvider(then)); err != nil {
			return "", err
		}
	}
	if simple.Enabled != nil && simple.Force != nil && all["configVersion"] != nil {
		return rule, nil
	}
	return withDefaults(all)
}

// withoutSides is a condition as the framework reads it: it takes out one after the
// other, and what is left may be another name.
func withoutSides(condition string) string {
	return strings.ReplaceAll(strings.ReplaceAll(condition, "consumer.", ""), "provider.", "")
}

// withDefaults says what Java takes for said: the framework takes no rule without a
// version, and panics over one without the others.
func withDefaults(all map[string]any) (string, error) {
	for name, value := range map[string]any{"configVersion": "v3.0", "enabled": true, "force": false} {
		if all[name] == nil {
			all[name] = value
		}
	}
	told, err := yaml.Marshal(all)
	return string(told), err
}

var errTooMany = fmt.Errorf("it has more than %d parts", maxParts)

func checkDestinations(rules []*global.ConditionRule) error {
	if len(rules) > maxParts {
		return errTooMany
	}
	for _, r := range rules {
		if r == nil {
			continue
		}
		if len(r.To) > maxParts {
			return errTooMany
		}
		if err := checkRequest(r.From.Match); err != nil {
			return err
		}
		for _, to := range r.To {
			if err := checkProvider(to.Match); err != nil {
				return err
			}
			if to.Weight > maxShare {
				return fmt.Errorf("a weight in it is larger than %d", maxShare)
			}
		}
	}
	return nil
}

// part is what the framework reads of a condition at a time.
var part = regexp.MustCompile(`([&!=,]*)\s*([^&!=,\s]+)`)

// checkRequest looks at a condition for a call. Of a call with n arguments the
// framework looks for that after the last one if it is asked for argument n.
func checkRequest(condition string) error { return checkNames(condition, constant.Arguments) }

// checkProvider looks at a condition for a provider: the framework has no call there.
func checkProvider(condition string) error {
	return checkNames(condition, constant.Arguments, constant.Attachments)
}

func checkNames(condition string, panicking ...string) error {
	for _, found := range part.FindAllStringSubmatch(condition, -1) {
		for _, name := range panicking {
			if separator := found[1]; (separator == "" || separator == "&") && strings.HasPrefix(found[2], name) {
				return fmt.Errorf("dubbo-go would panic over %s in the condition %s", name, sane.Quote(condition))
			}
		}
	}
	return nil
}

func usableTags(rule string) (string, error) {
	var tags global.RouterConfig
	if yaml.Unmarshal([]byte(rule), &tags) != nil {
		return rule, nil
	}
	if len(tags.Tags) > maxParts {
		return "", errTooMany
	}
	for _, tag := range tags.Tags {
		for _, match := range tag.Match {
			if match == nil {
				return "", fmt.Errorf("the tag %s has a match that is empty", sane.Quote(tag.Name))
			}
		}
	}
	return rule, nil
}

func usableAffinity(rule string) (string, error) {
	var affinity global.AffinityRouter
	if yaml.Unmarshal([]byte(rule), &affinity) != nil {
		return rule, nil
	}
	if err := checkProvider(strings.TrimSpace(affinity.AffinityAware.Key)); err != nil {
		return "", err
	}
	return rule, nil
}

const (
	// maxOverrides is how many URLs the framework may make of an override.
	maxOverrides = 1000
	// maxOverridesText is how many bytes they may have.
	maxOverridesText = 4 << 20
)

// checkOverrides returns an error for a rule of which the framework would make more
// than a process can hold: one for each address and service, and that of each service
// has the text of all before it.
func checkOverrides(rule string) (err error) {
	defer func() {
		if p := recover(); p != nil { // of the YAML library
			err = fmt.Errorf("reading it has panicked: %v", p)
		}
	}()
	var config parser.ConfiguratorConfig
	if yaml.Unmarshal([]byte(rule), &config) != nil {
		return nil // the parser says so
	}
	urls, text := 0, 0
	for _, item := range config.Configs {
		services, size := max(len(item.Applications), 1), sizeOf(config, item)
		if config.Scope == parser.ScopeApplication {
			services = max(len(item.Services), 1)
			size *= services
		}
		n := max(len(item.Addresses), 1) * services
		if urls, text = urls+n, text+n*size; urls > maxOverrides || text > maxOverridesText {
			return fmt.Errorf("the rule is for more than %d addresses and services, or has more than %d bytes for all of them", maxOverrides, maxOverridesText)
		}
	}
	return nil
}

// sizeOf is how many bytes a URL of an item has, at most.
func sizeOf(config parser.ConfiguratorConfig, item parser.ConfigItem) int {
	size := 200 + len(config.Key) + len(config.ConfigVersion) + len(item.Side)
	for name, value := range item.Parameters {
		size += len(name) + len(value) + 2
	}
	longest := 0
	for _, texts := range [][]string{item.Addresses, item.Services, item.Applications} {
		for _, text := range texts {
			longest = max(longest, len(text))
		}
	}
	for _, address := range item.ProviderAddresses {
		size += len(address) + 1
	}
	return size + 3*longest
}
