package broker

import "errors"

// ErrStopping is why a broker that stops is not ready, and what requests that wait for it are told. Match it with errors.Is.
var ErrStopping = errors.New("the broker is stopping")

// Ready reports why clients should go elsewhere; nil: they are welcome.
func (b *Broker) Ready() error {
	b.mu.Lock()
	stopped := b.stopped
	b.mu.Unlock()
	if stopped {
		return ErrStopping
	}
	return b.engine.Health().Err
}
