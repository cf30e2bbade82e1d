package train

// Progress says how far work is.
type Progress struct {
	Stage  string             // what is being done, such as "labels"; empty for the steps of the process itself
	Done   int                // steps, of Total
	Total  int                // at least 1
	Values map[string]float64 // measured at the last step, by name; nil if nothing was
}

// Watch is told of each step that work has done: for progress bars and live plots. A nil
// Watch is told nothing.
type Watch func(Progress)

// Tell tells the watch of a step, if there is a watch.
func (w Watch) Tell(p Progress) {
	if w != nil {
		w(p)
	}
}

// Stage returns a watch that tells w of steps as those of a stage; stages within it keep their names
// after its own.
func (w Watch) Stage(name string) Watch {
	if w == nil {
		return nil
	}
	return func(p Progress) {
		if p.Stage != "" {
			p.Stage = name + ": " + p.Stage
		} else {
			p.Stage = name
		}
		w(p)
	}
}
