package listener

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/barid-mqtt/barid/pkg/unpolled"
)

// open opens the socket that o names.
func open(o *Options) (net.Listener, error) {
	if o.Bind == "" {
		return nil, errors.New("bind is empty")
	}
	if o.Type == TypeUnix {
		return openUnix(o)
	}
	lc := net.ListenConfig{}
	configureKeepAlive(&lc)
	ln, err := lc.Listen(context.Background(), "tcp", o.Bind)
	if err != nil {
		return nil, explain(o, err)
	}
	return unpolled.Listener(ln), nil
}

// keepAlive finds peers that vanished, within about two minutes, where MQTT's own keep alive is off.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 60 * time.Second, Interval: 15 * time.Second, Count: 4}

// explain adds to an error what to do about it.
func explain(o *Options, err error) error {
	hint := ""
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		hint = fmt.Sprintf("another program has %s; stop it, or choose another address for listeners.%s.bind", o.Bind, o.Name)
	case errors.Is(err, syscall.EACCES):
		hint = "this user may not open it; ports below 1024 need a privilege (CAP_NET_BIND_SERVICE), a socket file a writable directory"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		hint = "no interface of this machine has that address"
	default:
		return err
	}
	return fmt.Errorf("%w (%s)", err, hint)
}

// openUnix opens a Unix socket. The file of a program that is gone is removed first.
func openUnix(o *Options) (net.Listener, error) {
	abstract := strings.HasPrefix(o.Bind, "@") // has no file
	if !abstract {
		if err := removeStale(o); err != nil {
			return nil, err
		}
	}
	ln, err := net.Listen("unix", o.Bind)
	if err != nil {
		return nil, explain(o, err)
	}
	if !abstract {
		if err := os.Chmod(o.Bind, o.UnixMode); err != nil {
			return nil, errors.Join(fmt.Errorf("setting the socket's mode: %w", err), ln.Close())
		}
	}
	return unpolled.Listener(ln), nil
}

// removeStale removes a socket file on which nobody listens. Anything else that is there stays.
func removeStale(o *Options) error {
	info, err := os.Lstat(o.Bind)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode()&fs.ModeSocket == 0:
		return fmt.Errorf("%s is there and is not a socket; move it away, or choose another path for listeners.%s.bind", o.Bind, o.Name)
	}
	c, err := net.DialTimeout("unix", o.Bind, time.Second)
	if err == nil {
		_ = c.Close() // it only asked whether somebody is there
		return explain(o, &net.OpError{Op: "listen", Net: "unix", Addr: &net.UnixAddr{Name: o.Bind, Net: "unix"}, Err: syscall.EADDRINUSE})
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("finding out who listens on %s: %w", o.Bind, err)
	}
	if err := os.Remove(o.Bind); err != nil {
		return fmt.Errorf("removing the socket of a program that is gone: %w", err)
	}
	return nil
}
