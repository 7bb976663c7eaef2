// SPDX-License-Identifier: Apache-2.0

package main

import (
	_ "embed"
	"os"
	"strings"
	"text/template"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/benchmark/scale"
)

//go:embed page.md.tmpl
var text string

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"cell":  func(r row, all *results, contender string) string { return markdown(r.cell(all, contender)) },
	"ratio": func(r row, all *results) string { return r.ratio(all) },
	"text":  markdown,
	"label": func(contender string) string { return labels[contender] },
}).Parse(text))

// content is what the page is made of.
type content struct {
	Quick      bool
	Facts      []fact
	Contenders []string
	Groups     []shownGroup
	Versus     [][]string
	Batches    [][]string
	Figures    []shownFigure
	All        *results
}

type shownGroup struct {
	Title, Text string
	Rows        []shownRow
}

type shownRow struct {
	Title string
	Row   row
}

type shownFigure struct{ File, Title string }

func write(file string, all *results) error {
	c := content{Quick: scale.Quick(), Facts: all.facts, Contenders: contenders, All: all}
	for _, g := range groups() {
		shown := shownGroup{Title: g.title, Text: g.text}
		for _, r := range g.rows {
			shown.Rows = append(shown.Rows, shownRow{r.title, r})
		}
		c.Groups = append(c.Groups, shown)
	}
	for _, v := range versuses() {
		c.Versus = append(c.Versus, v.cells(all))
	}
	for _, size := range scale.Batches {
		c.Batches = append(c.Batches, batchCells(all, size))
	}
	for _, f := range figures {
		c.Figures = append(c.Figures, shownFigure{f.file, f.title})
	}
	var out strings.Builder
	if err := page.Execute(&out, c); err != nil {
		return err
	}
	return os.WriteFile(file, []byte(out.String()), 0o644)
}

// markdown is text that does not end a cell of a table.
func markdown(text string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ", "<", "&lt;").Replace(text)
}
