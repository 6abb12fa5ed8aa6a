package conn

// Outbound is how the way to the client is at a moment.
type Outbound struct {
	WaitingBytes     int    // encoded, and not taken by the socket
	MaxBytes         int    // at which deliveries wait in the session
	MaximumPacket    uint32 // the client's maximum packet size; 0: it has none
	Starved, Closing bool   // deliveries wait for room; nothing more is sent
}

// Outbound describes the way to the client.
func (c *Conn) Outbound() Outbound {
	c.mu.Lock()
	defer c.mu.Unlock()
	waiting := len(c.buf) + c.writing
	return Outbound{
		WaitingBytes: waiting, MaxBytes: c.opts.OutMaxBytes, MaximumPacket: c.maxPacket,
		Starved: c.starved && waiting >= c.opts.OutMaxBytes, Closing: c.closed,
	}
}
