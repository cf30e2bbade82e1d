package dagnet

import (
	"math"

	"github.com/ctnas/ctnas/ctnaslib/space/nasbench101"
)

// NumFeatures is the length of a cell's feature vector, padded to a whole Lane.
const NumFeatures = Lane

// AppendFeatures appends what the readout knows of a cell as a whole, each scaled
// to about [0, 1].
func AppendFeatures(features []float32, c nasbench101.Cell) []float32 {
	n := c.N()
	var ops [3]float64 // vertices of each operation
	var longest, shortest, convs, paths [nasbench101.MaxVertices]float64
	paths[0] = 1
	leading, projections := 0.0, 0.0
	for v := 1; v < n; v++ {
		shortest[v] = nasbench101.MaxVertices
		for u := range v {
			if c.Edge(u, v) {
				longest[v] = max(longest[v], longest[u]+1)
				shortest[v] = min(shortest[v], shortest[u]+1)
				convs[v] = max(convs[v], convs[u])
				paths[v] += paths[u]
			}
		}
		if v < n-1 {
			ops[c.Op(v)]++
			if c.Edge(0, v) {
				projections++
			}
			if c.Op(v) == nasbench101.Conv3x3 {
				convs[v]++
			}
			if c.Edge(v, n-1) {
				leading++
			}
		}
	}
	skip := 0.0
	if c.Edge(0, n-1) {
		skip = 1
	}
	// About the number of parameters, in units of the squared number of channels of
	// the output, which the vertices that lead there share. The exact number depends
	// on the numbering, where the division leaves a rest.
	params := skip
	if leading > 0 {
		params += (9*ops[nasbench101.Conv3x3]+ops[nasbench101.Conv1x1])/(leading*leading) + projections/leading
	}
	start := len(features)
	for _, x := range []float64{
		float64(n) / 7, float64(c.Edges()) / 9,
		ops[0] / 5, ops[1] / 5, ops[2] / 5,
		longest[n-1] / 6, shortest[n-1] / 6, convs[n-1] / 5, paths[n-1] / 16,
		leading / 5, skip,
		params / 50, math.Sqrt(params) / 7,
	} {
		features = append(features, float32(x))
	}
	for len(features) < start+NumFeatures {
		features = append(features, 0)
	}
	return features
}
