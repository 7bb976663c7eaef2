// SPDX-License-Identifier: Apache-2.0

package main

import (
	_ "embed"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"text/template"
	"time"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/benchmark/scale"
)

//go:embed page.md.tmpl
var text string

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"cell":  func(r row, all *results, contender string) string { return markdown(r.cell(all, contender)) },
	"ratio": func(r row, all *results) string { return r.ratio(all) },
	"label": func(contender string) string { return labels[contender] },
}).Parse(text))

// content is what the page is made of.
type content struct {
	Quick      bool
	Facts      []fact
	Contenders []string
	Groups     []shownGroup
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

// fact is something that the figures depend on.
type fact struct{ Name, Value string }

func write(file string, all *results) error {
	c := content{Quick: scale.Quick(), Facts: facts(all), Contenders: contenders, All: all}
	for _, g := range groups() {
		shown := shownGroup{Title: g.title, Text: g.text}
		for _, r := range g.rows {
			shown.Rows = append(shown.Rows, shownRow{r.title, r})
		}
		c.Groups = append(c.Groups, shown)
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

func facts(all *results) []fact {
	found := []fact{
		{"Date", time.Now().UTC().Format("2006-01-02 15:04 UTC")},
		{"Commit", output("git", "describe", "--always", "--dirty", "--exclude=*")},
		{"Processor", all.cpu + ", " + output("nproc") + " cores"},
		{"Memory", memory()},
		{"System", strings.TrimSpace(output("uname", "-sr") + " " + runtime.GOARCH)},
		{"Go", strings.TrimPrefix(output("go", "env", "GOVERSION"), "go")},
	}
	for _, m := range []struct{ name, module string }{
		{"dubbo-go", "dubbo.apache.org/dubbo-go/v3"},
		{"etcd's client", "go.etcd.io/etcd/client/v3"},
		{"etcd", "go.etcd.io/etcd/server/v3"},
	} {
		found = append(found, fact{m.name, output("go", "list", "-m", "-f", "{{.Version}}", m.module)})
	}
	zookeeper := output("dpkg-query", "-W", "-f", "${Version}", "zookeeper")
	if zookeeper == "" {
		zookeeper = "not installed"
	}
	return append(found, fact{"ZooKeeper", zookeeper})
}

// output is what a command says, or nothing.
func output(name string, args ...string) string {
	said, err := exec.Command(name, args...).Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(said))
}

func memory() string {
	info, _ := os.ReadFile("/proc/meminfo")
	for line := range strings.Lines(string(info)) {
		if total, ok := strings.CutPrefix(line, "MemTotal:"); ok {
			return strings.TrimSpace(total)
		}
	}
	return ""
}
