// SPDX-License-Identifier: Apache-2.0

package action

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"gopkg.in/yaml.v3"
)

// Provider is one of the interface level.
type Provider struct{ Interface, Address, Group, Version string }

// OverrideKey is the key of an override of a provider that sets one parameter. Group and
// version have to be those of the provider.
func (p Provider) OverrideKey(root, name, value string) string {
	params := []string{"category=configurators", "dynamic=false", "enabled=true", name + "=" + value}
	for name, value := range map[string]string{"group": p.Group, "version": p.Version} {
		if value != "" {
			params = append(params, name+"="+value)
		}
	}
	slices.Sort(params)
	return root + "/" + p.Interface + "/configurators/" + url.QueryEscape("override://"+p.Address+"/"+p.Interface+"?"+strings.Join(params, "&"))
}

// CheckWeight reads a weight: nothing is the usual one.
func CheckWeight(value string) error {
	if n, err := strconv.Atoi(value); err != nil || n < 0 || n > 10_000 {
		return fmt.Errorf("a weight is a number from 0 to 10000, not %q", value)
	}
	return nil
}

// Out is the tag of instances that are taken out: no consumer asks for it.
const Out = "taken-out-by-console"

// Tag changes the tag rule of an application so that an instance has a tag, or none
// where tag is empty, among those that the rule gives. A rule that cannot be read is an
// error: it would be lost.
func Tag(rule, application, address, tag string) (string, error) {
	var root yaml.Node
	if err := yaml.Unmarshal([]byte(rule), &root); err != nil {
		return "", fmt.Errorf("the tag rule of %s is no YAML: %w", application, err)
	}
	content := map[string]any{}
	if err := root.Decode(&content); err != nil && root.Kind != 0 {
		return "", fmt.Errorf("the tag rule of %s is no mapping: %w", application, err)
	}
	if len(content) == 0 {
		content = map[string]any{"configVersion": "v3.0", "force": false, "enabled": true, "key": application}
	}
	tags, ok := content["tags"].([]any)
	if !ok && content["tags"] != nil {
		return "", fmt.Errorf("the tags in the tag rule of %s are no list", application)
	}
	found := tag == ""
	var left []any
	for _, entry := range tags {
		one, ok := entry.(map[string]any)
		if !ok {
			return "", fmt.Errorf("a tag in the tag rule of %s is no mapping", application)
		}
		addresses, _ := one["addresses"].([]any)
		addresses = slices.DeleteFunc(slices.Clone(addresses), func(a any) bool { return a == address })
		if one["name"] == tag {
			found = true
			addresses = append(addresses, address)
		}
		if len(addresses) == 0 && one["match"] == nil {
			continue // it would be for nobody
		}
		if len(addresses) > 0 || one["addresses"] != nil {
			one["addresses"] = addresses
		}
		left = append(left, one)
	}
	if !found {
		left = append(left, map[string]any{"name": tag, "addresses": []any{address}})
	}
	if left == nil {
		left = []any{}
	}
	content["tags"] = left
	encoded, err := yaml.Marshal(content)
	return string(encoded), err
}

// HasTag says whether a tag rule gives an instance a tag.
func HasTag(rule, address, tag string) bool {
	var content struct {
		Tags []struct {
			Name      string   `yaml:"name"`
			Addresses []string `yaml:"addresses"`
		} `yaml:"tags"`
	}
	if yaml.Unmarshal([]byte(rule), &content) != nil {
		return false
	}
	for _, t := range content.Tags {
		if t.Name == tag && slices.Contains(t.Addresses, address) {
			return true
		}
	}
	return false
}

// CheckRule looks whether a rule can be read as YAML, and is a mapping.
func CheckRule(dataID, rule string) error {
	if strings.HasSuffix(dataID, ".script-router") || strings.HasSuffix(dataID, ".properties") {
		return nil // it is in another language
	}
	var content map[string]any
	if err := yaml.Unmarshal([]byte(rule), &content); err != nil {
		return fmt.Errorf("it is not YAML as a rule is written: %w", err)
	}
	if len(content) == 0 {
		return errors.New("it says nothing: delete the key instead")
	}
	return nil
}
