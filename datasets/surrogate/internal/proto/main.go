package main

import (
	"context"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/ctnas/ctnas/ctnaslib/metric"
	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
	"github.com/ctnas/ctnas/datasets"
	"github.com/ctnas/ctnas/datasets/surrogate/internal/dagnet"
)

var (
	width  = flag.Int("w", 64, "")
	batch  = flag.Int("b", 2048, "")
	epochs = flag.Int("e", 6, "")
	lr     = flag.Float64("lr", 2e-3, "")
	delta  = flag.Float64("d", 0.3, "")
	loss   = flag.String("loss", "huber", "")
	wd     = flag.Float64("wd", 0, "")
	sub    = flag.Int("sub", 1, "")
)

func main() {
	flag.Parse()
	table, err := datasets.OpenNASBench101(context.Background(), "")
	if err != nil {
		panic(err)
	}
	var rows, dev []datasets.Row
	var all []float64
	i := 0
	for r := range table.Report().Rows() {
		switch {
		case r.Hash[15] < 26:
		case r.Hash[15] < 30:
			dev = append(dev, r)
		default:
			i++
			if i%*sub == 0 {
				rows = append(rows, r)
				all = append(all, r.Test)
			}
		}
	}
	slices.Sort(all)
	target := func(t float64) float32 {
		lo, _ := slices.BinarySearch(all, t)
		hi, _ := slices.BinarySearch(all, t+1e-9)
		return float32(((float64(lo+hi)/2+0.5)/float64(len(all)+1) - 0.5) * math.Sqrt(12))
	}
	y := make([]float32, len(rows))
	for i, r := range rows {
		y[i] = target(r.Test)
	}
	devCells := make([]nasbench101.Cell, len(dev))
	devTest := make([]float64, len(dev))
	for i, r := range dev {
		devCells[i], devTest[i] = r.Cell, r.Test
	}
	devPlan := dagnet.NewPlan(devCells)

	rng := rand.New(rand.NewPCG(1, 1))
	net := dagnet.New(*width)
	net.Init(rng)
	const shards = 2
	var pass [shards]dagnet.Pass
	var g [shards]dagnet.Gradient
	var grads [shards]*dagnet.Net
	for s := range grads {
		grads[s] = dagnet.New(*width)
	}
	m := make([]float32, len(net.Weights()))
	v := make([]float32, len(net.Weights()))
	fmt.Println("weights", len(m), "train", len(rows), "dev", len(dev))
	order := rng.Perm(len(rows))
	step := 0
	perEpoch := len(rows) / *batch
	total := *epochs * perEpoch
	start := time.Now()
	var devPass dagnet.Pass
	for e := range *epochs {
		rng.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		var sum [shards]float64
		for b := range perEpoch {
			ids := order[b**batch : (b+1)**batch]
			var wg sync.WaitGroup
			for s := range shards {
				part := ids[s*len(ids)/shards : (s+1)*len(ids)/shards]
				wg.Go(func() {
					cells := make([]nasbench101.Cell, len(part))
					for i, id := range part {
						cells[i] = rows[id].Cell
					}
					plan := dagnet.NewPlan(cells)
					out := pass[s].Predict(net, plan)
					d := make([]float32, len(out))
					for i, id := range part {
						diff := float64(out[i] - y[id])
						a := math.Abs(diff)
						if a < *delta {
							sum[s] += diff * diff / 2 / *delta
							d[i] = float32(diff / *delta)
						} else {
							sum[s] += a - *delta/2
							d[i] = float32(math.Copysign(1, diff))
						}
						d[i] /= float32(*batch)
					}
					clear(grads[s].Weights())
					g[s].Backward(&pass[s], grads[s], d)
				})
			}
			wg.Wait()
			step++
			rate := *lr * min(1, float64(step)/300) * (0.5 + 0.5*math.Cos(math.Pi*float64(step)/float64(total)))
			c1 := 1 - math.Pow(0.9, float64(step))
			c2 := 1 - math.Pow(0.999, float64(step))
			w := net.Weights()
			g0, g1 := grads[0].Weights(), grads[1].Weights()
			k := float32(rate / c1)
			ic2 := float32(1 / c2)
			for i := range w {
				gr := g0[i] + g1[i]
				m[i] = 0.9*m[i] + 0.1*gr
				v[i] = 0.999*v[i] + 0.001*gr*gr
				w[i] -= k*m[i]/(float32(math.Sqrt(float64(v[i]*ic2)))+1e-8) + float32(rate**wd)*w[i]
			}
		}
		out := devPass.Predict(net, devPlan)
		p := make([]float64, len(out))
		for i := range p {
			p[i] = float64(out[i])
		}
		tau, err := metric.KendallTau(p, devTest)
		fmt.Printf("epoch %d loss %.4f dev tau %.4f %v  %v\n", e, (sum[0]+sum[1])/float64(perEpoch**batch), tau, err, time.Since(start).Round(time.Second))
	}
}
