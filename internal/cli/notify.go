package cli

import (
	"net"
	"strings"
)

// notify tells the supervisor that has started the program what it does now, as sd_notify(3) says: "READY=1",
// "RELOADING=1", "STOPPING=1". Without a supervisor that wants to know, or if it does not listen, nothing happens.
func notify(environ []string, state string) {
	path := ""
	for _, v := range environ {
		if p, ok := strings.CutPrefix(v, "NOTIFY_SOCKET="); ok {
			path = p
		}
	}
	if path == "" {
		return
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return
	}
	defer c.Close()
	_, _ = c.Write([]byte(state))
}
