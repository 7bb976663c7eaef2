// SPDX-License-Identifier: Apache-2.0

package docs_test

import (
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLinksLeadToFilesAndHeadings(t *testing.T) {
	t.Parallel()
	all := pages(t)
	found := 0
	for _, p := range all {
		for _, link := range p.links {
			u, err := url.Parse(link)
			require.NoError(t, err, "%s: %s", p.path, link)
			if u.Scheme != "" {
				assert.Contains(t, []string{"http", "https"}, u.Scheme, "%s: %s", p.path, link)
				continue
			}
			found++
			target := p.path
			if u.Path != "" {
				target = path.Join(path.Dir(p.path), u.Path)
				_, err := os.Stat(filepath.Join(root, filepath.FromSlash(target)))
				assert.NoError(t, err, "%s: %s", p.path, link)
			}
			if u.Fragment == "" {
				continue
			}
			if to := all[target]; assert.NotNil(t, to, "%s: %s is no page that has headings", p.path, link) {
				assert.True(t, to.anchors[u.Fragment], "%s: %s: there is no such heading", p.path, link)
			}
		}
	}
	assert.NotZero(t, found)
}

// A page that nobody can find is not read.
func TestEveryPageIsLinkedFromAnother(t *testing.T) {
	t.Parallel()
	all := pages(t)
	linked := map[string]bool{"README.md": true}
	for _, p := range all {
		for _, link := range p.links {
			if to := path.Join(path.Dir(p.path), strings.Split(link, "#")[0]); to != p.path {
				linked[to] = true
			}
		}
	}
	for _, p := range all {
		if strings.HasPrefix(p.path, "docs/") {
			assert.True(t, linked[p.path], "%s is linked from no page", p.path)
		}
	}
}

func TestHeadingsAreNamedAsGitHubNamesThem(t *testing.T) {
	t.Parallel()
	p := parse("x.md", []byte("# A `b.c`, d/e\n\n## 1. What_is *it*?\n\n## Über – x\n\n## Same\n\n## Same\n"))
	for _, want := range []string{"a-bc-de", "1-what_is-it", "über--x", "same", "same-1"} {
		assert.True(t, p.anchors[want], "%s is among %v", want, p.anchors)
	}
}
