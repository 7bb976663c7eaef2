// SPDX-License-Identifier: Apache-2.0

// Package docs_test holds what is written for readers to what is true: links lead
// somewhere, commands run, configurations load, code compiles, and lines of the log are
// those of the source.
package docs_test

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"
	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/testkit"
)

func TestMain(m *testing.M) { testkit.Main(m) }

// root is the repository.
const root = "../.."

// page is one Markdown file.
type page struct {
	path    string // from the root of the repository, with slashes
	anchors map[string]bool
	links   []string
	blocks  []block
	spans   []string // of code in the text
}

// block is a fenced piece of a page: a command, a configuration, code.
type block struct {
	page     string
	line     int
	language string
	text     string
}

func (b block) String() string { return fmt.Sprintf("%s:%d", b.page, b.line) }

// pages returns all Markdown files of the repository, by path.
func pages(t *testing.T) map[string]*page {
	t.Helper()
	all := map[string]*page{}
	require.NoError(t, filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (d.Name() == ".git" || d.Name() == "testdata" || d.Name() == "node_modules"):
			return filepath.SkipDir
		case d.IsDir() || filepath.Ext(path) != ".md":
			return nil
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		relative, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		p := parse(filepath.ToSlash(relative), content)
		all[p.path] = p
		return nil
	}))
	require.Contains(t, all, "README.md")
	return all
}

// blocks returns those of one language of all pages.
func blocks(t *testing.T, language string) (all []block) {
	t.Helper()
	for _, p := range pages(t) {
		for _, b := range p.blocks {
			if b.language == language {
				all = append(all, b)
			}
		}
	}
	require.NotEmpty(t, all, "blocks of %s", language)
	return all
}

func parse(path string, source []byte) *page {
	p := &page{path: path, anchors: map[string]bool{}}
	markdown := goldmark.New(goldmark.WithExtensions(extension.GFM), goldmark.WithParserOptions(parser.WithAutoHeadingID()))
	context := parser.NewContext(parser.WithIDs(anchors{p.anchors}))
	document := markdown.Parser().Parse(text.NewReader(source), parser.WithContext(context))
	_ = ast.Walk(document, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Link:
			p.links = append(p.links, string(n.Destination))
		case *ast.Image:
			p.links = append(p.links, string(n.Destination))
		case *ast.CodeSpan:
			p.spans = append(p.spans, spanOf(n, source))
		case *ast.FencedCodeBlock:
			var content strings.Builder
			for i := range n.Lines().Len() {
				line := n.Lines().At(i)
				content.Write(line.Value(source))
			}
			line := 1
			if n.Lines().Len() > 0 {
				line += strings.Count(string(source[:n.Lines().At(0).Start]), "\n")
			}
			p.blocks = append(p.blocks, block{path, line, string(n.Language(source)), content.String()})
		}
		return ast.WalkContinue, nil
	})
	return p
}

// spanOf is the code of a span, on one line.
func spanOf(n *ast.CodeSpan, source []byte) string {
	var code strings.Builder
	for c := n.FirstChild(); c != nil; c = c.NextSibling() {
		if piece, ok := c.(*ast.Text); ok {
			code.Write(piece.Segment.Value(source))
			code.WriteByte(' ')
		}
	}
	return strings.Join(strings.Fields(code.String()), " ")
}

// anchors makes the names of headings as GitHub does: small letters, digits, hyphens
// and underscores, a hyphen for each space, and a number behind one that there is.
type anchors struct{ seen map[string]bool }

var notInAnchors = regexp.MustCompile(`[^\p{L}\p{N}\p{M} _-]`)

func (a anchors) Generate(heading []byte, _ ast.NodeKind) []byte {
	name := strings.Map(unicode.ToLower, strings.TrimSpace(string(heading)))
	name = strings.ReplaceAll(notInAnchors.ReplaceAllString(name, ""), " ", "-")
	unique := name
	for i := 1; a.seen[unique]; i++ {
		unique = fmt.Sprintf("%s-%d", name, i)
	}
	a.seen[unique] = true
	return []byte(unique)
}

func (a anchors) Put(name []byte) { a.seen[string(name)] = true }
