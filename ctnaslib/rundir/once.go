package rundir

// Once returns the result of a key: the stored one if the run was finished before, else
// that of work, which it stores. The errors are those of [Open], of the run directory and
// of work.
func Once[Result any](root string, key Key, work func(*Run) (Result, error)) (Result, error) {
	var result Result
	run, err := Open(root, key)
	if err != nil {
		return result, err
	}
	defer run.Close()
	if done, err := run.Result(&result); done || err != nil {
		return result, err
	}
	if result, err = work(run); err != nil {
		return result, err
	}
	return result, run.Finish(result)
}
