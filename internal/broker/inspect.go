package broker

import "errors"

// errStopping is why a broker that stops is not ready.
var errStopping = errors.New("the broker is stopping")

// Ready reports why clients should go elsewhere; nil: they are welcome.
func (b *Broker) Ready() error {
	b.mu.Lock()
	stopped := b.stopped
	b.mu.Unlock()
	if stopped {
		return errStopping
	}
	return b.engine.Health().Err
}
