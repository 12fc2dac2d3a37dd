// Package news tells those who watch a store that it has changed.
package news

import "sync"

// News has watchers. The zero value has none and is ready for use.
type News struct {
	mu       sync.Mutex
	watchers map[chan struct{}]bool
}

// Watch returns a channel that gets a token after a change, one for any number
// of changes since the last was taken, and the function that ends the watch.
func (n *News) Watch() (<-chan struct{}, func()) {
	c := make(chan struct{}, 1)
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.watchers == nil {
		n.watchers = map[chan struct{}]bool{}
	}
	n.watchers[c] = true
	return c, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.watchers, c)
	}
}

// Tell tells the watchers. It does not wait for them.
func (n *News) Tell() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for c := range n.watchers {
		select {
		case c <- struct{}{}:
		default: // it has a token already
		}
	}
}
