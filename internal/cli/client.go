package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
	"github.com/eclipse/paho.golang/paho/session"
	"github.com/eclipse/paho.golang/paho/session/state"

	"github.com/barid-mqtt/barid/mqtt"
)

const (
	connectTimeout = 10 * time.Second
	answerTimeout  = 30 * time.Second
)

// client is one MQTT connection of pub or sub.
type client struct {
	*paho.Client
	up   context.Context // ends with the connection, with a lostError as its cause
	lose context.CancelCauseFunc
}

// hooks are what sub wants to know.
type hooks struct {
	received func(*paho.Publish)
	ack      func(send func() error) error // around the acknowledgement of a message, of QoS 0 too
}

// connect opens the connection and does CONNECT. clientState carries in-flight messages from one connection to the next.
func (o *clientOptions) connect(ctx context.Context, stderr io.Writer, clientState session.SessionManager, h hooks) (*client, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	conn, err := o.dial(ctx)
	if err != nil {
		return nil, err
	}
	c := &client{}
	c.up, c.lose = context.WithCancelCause(context.Background()) // the first to end it gives the reason
	if h.ack != nil {
		clientState = ackingState{clientState, h.ack}
	}
	config := paho.ClientConfig{
		Conn: conn, Session: clientState, PacketTimeout: answerTimeout,
		OnClientError: func(err error) { c.lose(&lostError{"connection lost", plain(err)}) },
		OnServerDisconnect: func(d *paho.Disconnect) {
			c.lose(&lostError{"disconnected by the broker", mqtt.ReasonCode(d.ReasonCode)})
		},
	}
	if h.received != nil {
		config.OnPublishReceived = []func(paho.PublishReceived) (bool, error){func(p paho.PublishReceived) (bool, error) {
			h.received(p.Packet)
			return true, nil
		}}
	}
	c.Client = paho.NewClient(config)
	answer, err := c.Connect(ctx, o.connectPacket())
	if err != nil {
		c.lose(nil)
		return nil, fmt.Errorf("cannot connect to %s: %w", o.server, connackError(answer, err))
	}
	o.debugf(stderr, "connected to %s as %q, session present: %t", o.server, c.ClientID(), answer.SessionPresent)
	return c, nil
}

func (o *clientOptions) debugf(stderr io.Writer, format string, args ...any) {
	if o.debug {
		fmt.Fprintf(stderr, format+"\n", args...)
	}
}

func (o *clientOptions) connectPacket() *paho.Connect {
	expiry := uint32(o.expirySeconds)
	cp := &paho.Connect{
		ClientID: o.clientID, KeepAlive: uint16(o.keepAlive), CleanStart: !o.keepSession,
		Username: o.username, UsernameFlag: o.username != "",
		Password: []byte(o.password), PasswordFlag: o.password != "",
		Properties: &paho.ConnectProperties{SessionExpiryInterval: &expiry},
	}
	if o.willTopic != "" {
		cp.WillMessage = &paho.WillMessage{Topic: o.willTopic, Payload: []byte(o.willPayload), QoS: byte(o.willQoS), Retain: o.willRetain}
		cp.WillProperties = &paho.WillProperties{}
	}
	return cp
}

// connackError says why CONNECT failed: by the broker's code and reason, if it gave one.
func connackError(answer *paho.Connack, err error) error {
	if answer == nil || answer.ReasonCode < 0x80 {
		return plain(err)
	}
	var reason string
	if answer.Properties != nil {
		reason = answer.Properties.ReasonString
	}
	return refused(answer.ReasonCode, reason)
}

// refused is a reason code as an error, with the reason string of the broker.
func refused(code byte, reason string) error {
	if reason == "" {
		return mqtt.ReasonCode(code)
	}
	return fmt.Errorf("%w: %s", mqtt.ReasonCode(code), reason)
}

// lostError is the end of a connection that the client did not ask for.
type lostError struct {
	how string
	err error // of the network, or the reason code of the broker's DISCONNECT packet
}

func (e *lostError) Error() string { return e.how + ": " + e.err.Error() }
func (e *lostError) Unwrap() error { return e.err }

// whileUp returns a context that also ends when the connection does: paho would wait for an answer that cannot come.
func (c *client) whileUp(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(c.up, func() { cancel(context.Cause(c.up)) })
	return ctx, func() {
		stop()
		cancel(nil)
	}
}

// whyNoAnswer returns what says more than err, which is that an answer did not come: why ctx has ended, if it has.
func whyNoAnswer(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return plain(err)
}

// final reports whether connecting again after err is pointless: the broker has said that it does not want this client.
func final(err error) bool {
	var code mqtt.ReasonCode
	if !errors.As(err, &code) {
		return false
	}
	switch code {
	case mqtt.ServerShuttingDown, mqtt.ServerBusy, mqtt.ServerUnavailable, mqtt.ConnectionRateExceeded,
		mqtt.KeepAliveTimeout, mqtt.NormalDisconnection:
		return false
	}
	return true
}

// close ends the connection as a client should. The session has its own expiry.
func (c *client) close() error {
	defer c.lose(nil)
	if err := c.Disconnect(&paho.Disconnect{ReasonCode: 0}); err != nil {
		return fmt.Errorf("disconnecting: %w", plain(err))
	}
	return nil
}

// ackingState lets a hook decide about each acknowledgement: only the one that sees it sent knows when it may disconnect
// without getting the message again.
type ackingState struct {
	session.SessionManager
	ack func(send func() error) error
}

func (s ackingState) Ack(p *packets.Publish) error {
	return s.ack(func() error {
		if p.QoS == 0 {
			return nil
		}
		return s.SessionManager.Ack(p)
	})
}

func newClientState() *state.State { return state.NewInMemory() }
