package loop

import (
	"errors"
	"fmt"
	"io"

	"github.com/barid-mqtt/barid/mqtt"
)

// Handler is what a client does. All methods are called with the loop's lock held, and must not wait.
type Handler interface {
	// Connected tells that the broker has accepted the client.
	Connected(c *Client, ack *mqtt.Connack)
	// Packet takes any other packet. body is valid until it returns. An error closes the client.
	Packet(c *Client, h mqtt.Header, body []byte) error
	// Writable tells that output is taken again after Blocked was true.
	Writable(c *Client)
	// Closed tells that the client's connection has ended, or could not be made; it is called once for each Dial.
	// err is nil if this end closed it.
	Closed(c *Client, err error)
}

// transport is a client's connection, as the loop sees it.
type transport interface {
	// write takes what it can without waiting. If that is less than b, the loop calls Client.drained later.
	write(b []byte) (int, error)
	// pause stops or resumes reading.
	pause(on bool)
	close()
}

// Client is one MQTT client. Its methods are called with the loop's lock held.
type Client struct {
	// Static after construction.
	loop    *Loop
	handler Handler
	hello   *mqtt.Connect

	conn     transport // nil: not connected
	greeted  bool      // CONNACK has come
	blocked  bool      // the transport takes no more for now
	dirty    bool      // in the loop's list
	out      []byte
	part     []byte // the beginning of a packet, carried from one read to the next
	version  mqtt.Version
	finished bool // close when all output is written
}

// NewClient makes a client that is not connected. hello is what it says when it is.
func NewClient(l *Loop, hello *mqtt.Connect, h Handler) *Client {
	return &Client{loop: l, handler: h, hello: hello, version: hello.Version}
}

// Loop returns the client's loop.
func (c *Client) Loop() *Loop { return c.loop }

// Version returns the protocol version that it speaks.
func (c *Client) Version() mqtt.Version { return c.version }

// SetClean sets whether the next connection asks for a clean start.
func (c *Client) SetClean(on bool) { c.hello.CleanStart = on }

// SetID sets the client id of the next connection.
func (c *Client) SetID(id string) { c.hello.ClientID = id }

// Up reports whether it is connected and accepted.
func (c *Client) Up() bool { return c.greeted }

// Out returns the output to append to. Give the longer slice to SetOut.
func (c *Client) Out() []byte {
	if c.out == nil {
		c.out = c.loop.newBuffer()
	}
	return c.out
}

// SetOut replaces the output. It is written at the end of the round.
func (c *Client) SetOut(b []byte) {
	c.out = b
	if !c.dirty && !c.blocked && c.conn != nil {
		c.dirty = true
		c.loop.dirty = append(c.loop.dirty, c)
	}
}

// Send appends one packet to the output.
func (c *Client) Send(p mqtt.Packet) error {
	b, err := p.AppendTo(c.Out(), c.version)
	c.SetOut(b)
	return err
}

// Blocked reports whether output waits for the broker to read.
func (c *Client) Blocked() bool { return c.blocked }

// Pending returns how many bytes of output wait.
func (c *Client) Pending() int { return len(c.out) }

// Pause stops reading, so that the broker sees a client that stalls; or resumes it.
func (c *Client) Pause(on bool) {
	if c.conn != nil {
		c.conn.pause(on)
	}
}

// Flush writes the output now.
func (c *Client) Flush() {
	if c.blocked || c.conn == nil || len(c.out) == 0 {
		return
	}
	n, err := c.conn.write(c.out)
	if err != nil {
		c.close(fmt.Errorf("writing: %w", err))
		return
	}
	if n < len(c.out) {
		c.out = c.out[:copy(c.out, c.out[n:])]
		c.blocked = true
		return
	}
	c.loop.freeBuffer(c.out)
	c.out = nil
	if c.finished {
		c.close(nil)
	}
}

// drained is called when the transport takes output again.
func (c *Client) drained() {
	if !c.blocked {
		return
	}
	c.blocked = false
	c.Flush()
	if !c.blocked && c.conn != nil {
		c.handler.Writable(c)
	}
}

// Finish sends DISCONNECT after what is in the output, and closes the connection.
func (c *Client) Finish() {
	if c.conn == nil || c.finished {
		return
	}
	c.finished = true
	_ = c.Send(&mqtt.Disconnect{}) // it always has an encoding
}

// Kill closes the connection without a word.
func (c *Client) Kill() { c.close(nil) }

// opened is called when the transport is there: the client introduces itself.
func (c *Client) opened(t transport) {
	c.conn = t
	c.greeted, c.blocked, c.finished = false, false, false
	c.out, c.part = nil, nil
	c.loop.clients[c] = struct{}{}
	if err := c.Send(c.hello); err != nil {
		c.close(err)
	}
}

func (c *Client) close(err error) {
	if c.conn == nil {
		return
	}
	c.conn.close()
	c.conn, c.greeted, c.part = nil, false, nil
	delete(c.loop.clients, c)
	if c.finished {
		err = nil
	}
	c.handler.Closed(c, err)
}

func (c *Client) ping() {
	if c.greeted {
		_ = c.Send(&mqtt.Pingreq{})
	}
}

// feed handles what came. b may be overwritten after it returns.
func (c *Client) feed(b []byte) {
	for c.conn != nil {
		h, n, err := mqtt.DecodeHeader(b)
		if errors.Is(err, mqtt.ErrIncomplete) || err == nil && len(b)-n < int(h.Remaining) {
			break
		}
		if err == nil {
			body := b[n : n+int(h.Remaining)]
			b = b[n+int(h.Remaining):]
			err = c.packet(h, body)
		}
		if err != nil {
			c.close(err)
			return
		}
	}
	if c.conn != nil && (len(b) > 0 || len(c.part) > 0) {
		c.part = append(c.part[:0], b...)
	}
}

func (c *Client) packet(h mqtt.Header, body []byte) error {
	switch {
	case h.Type == mqtt.PINGRESP:
		return nil
	case c.greeted && h.Type == mqtt.DISCONNECT:
		var d mqtt.Disconnect
		if err := d.Decode(h, body, c.version); err != nil {
			return err
		}
		return fmt.Errorf("the broker disconnects: %w", d.Code)
	case c.greeted:
		return c.handler.Packet(c, h, body)
	}
	var ack mqtt.Connack
	if h.Type != mqtt.CONNACK {
		return fmt.Errorf("%v came before CONNACK", h.Type)
	}
	if err := ack.Decode(h, body, c.version); err != nil {
		return err
	}
	if ack.Code != mqtt.Success {
		return fmt.Errorf("the broker refuses the connection: %w", ack.Code)
	}
	c.greeted = true
	c.handler.Connected(c, &ack)
	return nil
}

// ended is called when reading fails.
func (c *Client) ended(err error) {
	if errors.Is(err, io.EOF) {
		err = errors.New("the broker closed the connection")
	}
	c.close(err)
}
