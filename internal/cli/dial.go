package cli

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"syscall"

	"github.com/eclipse/paho.golang/packets"
	"github.com/gorilla/websocket"
)

// dial opens the connection that the options name, safe for writers at the same time.
func (o *clientOptions) dial(ctx context.Context) (net.Conn, error) {
	var conn net.Conn
	var err error
	switch o.server.Scheme {
	case "unix":
		conn, err = new(net.Dialer).DialContext(ctx, "unix", o.server.Path)
	case "mqtts":
		conn, err = (&tls.Dialer{Config: o.tls}).DialContext(ctx, "tcp", o.server.Host)
	case "ws", "wss":
		conn, err = o.dialWebSocket(ctx)
	default:
		conn, err = new(net.Dialer).DialContext(ctx, "tcp", o.server.Host)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot connect to %s: %w", o.server, plain(err))
	}
	return packets.NewThreadSafeConn(conn), nil
}

// plain takes what a user knows already off an error of the network.
func plain(err error) error {
	if op := (*net.OpError)(nil); errors.As(err, &op) && op.Op == "dial" {
		err = op.Err
	}
	if sys := (*os.SyscallError)(nil); errors.As(err, &sys) {
		err = sys.Err
	}
	if errno := syscall.Errno(0); errors.As(err, &errno) {
		return errno
	}
	return err
}

func (o *clientOptions) dialWebSocket(ctx context.Context) (net.Conn, error) {
	dialer := websocket.Dialer{TLSClientConfig: o.tls, Subprotocols: []string{"mqtt"}}
	ws, response, err := dialer.DialContext(ctx, o.server.String(), nil)
	if response != nil && err != nil {
		return nil, fmt.Errorf("%w: the server answered %s", err, response.Status)
	}
	if err != nil {
		return nil, err
	}
	return &wsConn{Conn: ws.NetConn(), ws: ws}, nil
}

// wsConn is a WebSocket as a stream of bytes: a write is one binary message.
type wsConn struct {
	net.Conn // for addresses and deadlines
	ws       *websocket.Conn
	message  io.Reader  // what is being read, owned by the reader
	mu       sync.Mutex // guards writing
}

func (c *wsConn) Read(p []byte) (int, error) {
	for {
		if c.message == nil {
			_, r, err := c.ws.NextReader()
			if err != nil {
				return 0, err
			}
			c.message = r
		}
		n, err := c.message.Read(p)
		if errors.Is(err, io.EOF) {
			c.message = nil
			if n == 0 {
				continue
			}
			err = nil
		}
		return n, err
	}
}

func (c *wsConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.ws.WriteMessage(websocket.BinaryMessage, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (c *wsConn) Close() error { return c.ws.Close() }
