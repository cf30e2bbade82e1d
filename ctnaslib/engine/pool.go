package engine

import "sync"

// Pool keeps compiled programs that nobody needs any more for the next model of the
// same key: XLA compiles the graphs of a search for longer than it then computes for
// them, so many searches in one process had better share. It is safe for concurrent
// use; its zero value is empty.
type Pool[K comparable, P any] struct {
	mu    sync.Mutex
	spare map[K][]P
}

// Take returns spare programs of the key, which nobody else has then.
func (p *Pool[K, P]) Take(key K) (programs P, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	spare := p.spare[key]
	if len(spare) == 0 {
		return programs, false
	}
	last := len(spare) - 1
	p.spare[key] = spare[:last]
	return spare[last], true
}

// Put hands programs over.
func (p *Pool[K, P]) Put(key K, programs P) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.spare == nil {
		p.spare = make(map[K][]P)
	}
	p.spare[key] = append(p.spare[key], programs)
}
