package rundir

// Series picks the steps, counted from 1, and the values of one name out of
// metrics, leaving out the steps at which it was not measured.
func Series(metrics []Metrics, name string) (steps, values []float64) {
	for _, m := range metrics {
		if v, ok := m.Values[name]; ok {
			steps = append(steps, float64(m.Step+1))
			values = append(values, v)
		}
	}
	return steps, values
}
