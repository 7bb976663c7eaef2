// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"image/color"
	"path/filepath"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/dubbo-go-contrib/registry-etcdv3/integration/benchmark/scale"
)

// figure is a plot with a line for each contender.
type figure struct {
	file, title, x, y string
	linear            bool // the y axis is not logarithmic
	points            func(all *results, contender string) plotter.XYs
}

var figures = []figure{
	{"propagation", "From Register until the listener has been told", "milliseconds", "percent of the registrations", true, propagation},
	{"start", "A new consumer", "providers", "milliseconds until it knows them", false, bySize(scale.Starts, "InterfaceLevel/Start/", "total-sec", 1e3)},
	{"churn", "20 changes a second", "instances", "CPU, percent of a core", false, bySize(scale.Fleets, "InterfaceLevel/Fleet/", "churn-cpu-%", 1)},
	{"memory", "A consumer of all instances", "instances", "bytes in memory, for each", false, bySize(scale.Fleets, "InterfaceLevel/Fleet/", "B/instance", 1)},
}

var (
	labels = map[string]string{"floor": "etcd's client alone", "ours": "this registry", "builtin": "dubbo-go's etcdv3", "zookeeper": "dubbo-go's ZooKeeper"}
	// colors are distinguishable by who sees fewer of them (Okabe and Ito).
	colors = map[string]color.Color{
		"floor": color.RGBA{0x00, 0x00, 0x00, 0xff}, "ours": color.RGBA{0x00, 0x72, 0xb2, 0xff},
		"builtin": color.RGBA{0xd5, 0x5e, 0x00, 0xff}, "zookeeper": color.RGBA{0x00, 0x9e, 0x73, 0xff},
	}
)

// plots writes all figures into a directory.
func plots(dir string, all *results) error {
	for _, f := range figures {
		if err := f.save(filepath.Join(dir, f.file+".svg"), all); err != nil {
			return fmt.Errorf("draw %s: %w", f.file, err)
		}
	}
	return nil
}

func (f figure) save(file string, all *results) error {
	p := plot.New()
	p.Title.Text, p.X.Label.Text, p.Y.Label.Text = f.title, f.x, f.y
	p.Title.Padding = vg.Points(8)
	p.X.Scale, p.X.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	if !f.linear {
		p.Y.Scale, p.Y.Tick.Marker = plot.LogScale{}, plot.LogTicks{Prec: -1}
	}
	p.Legend.Top, p.Legend.Left = true, true
	p.Add(plotter.NewGrid())
	drawn := false
	for i, c := range contenders {
		points := f.points(all, c)
		if len(points) == 0 {
			continue
		}
		line, marks, err := plotter.NewLinePoints(points)
		if err != nil {
			return err
		}
		line.Color, line.Width = colors[c], vg.Points(1.5)
		marks.Color, marks.Shape = colors[c], []draw.GlyphDrawer{draw.CrossGlyph{}, draw.CircleGlyph{}, draw.TriangleGlyph{}, draw.BoxGlyph{}}[i]
		p.Add(line, marks)
		p.Legend.Add(labels[c], line, marks)
		drawn = true
	}
	if !drawn {
		p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 1, 10, 1, 10 // there is no logarithm of nothing
	}
	return p.Save(16*vg.Centimeter, 10*vg.Centimeter, file)
}

// propagation is the distribution of the time to the listener, out of all
// registrations: a line that ends below 100 is of a contender that has lost some.
func propagation(all *results, contender string) (points plotter.XYs) {
	o := all.of(contender, "InterfaceLevel/Added")
	wanted := o.least("wanted")
	if wanted == 0 {
		return nil
	}
	for _, p := range scale.Percents {
		if seconds, ok := o.median(fmt.Sprintf("p%g-sec", p)); ok {
			points = append(points, plotter.XY{X: seconds * 1e3, Y: p * o.least("arrived") / wanted})
		}
	}
	return points
}

func bySize(sizes func() []int, prefix, unit string, factor float64) func(*results, string) plotter.XYs {
	return func(all *results, contender string) (points plotter.XYs) {
		for _, n := range sizes() {
			if value, ok := all.of(contender, prefix+strconv.Itoa(n)).median(unit); ok && value > 0 {
				points = append(points, plotter.XY{X: float64(n), Y: value * factor})
			}
		}
		return points
	}
}
