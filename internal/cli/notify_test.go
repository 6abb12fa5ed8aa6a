package cli

import (
	"net"
	"path/filepath"
	"testing"
	"time"
)

func TestTheSupervisorIsTold(t *testing.T) {
	for _, name := range []string{filepath.Join(t.TempDir(), "notify"), "@barid-test-" + filepath.Base(t.TempDir())} {
		ln, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		notify([]string{"HOME=/", "NOTIFY_SOCKET=" + name}, "READY=1")
		_ = ln.SetReadDeadline(time.Now().Add(5 * time.Second))
		got := make([]byte, 100)
		if n, err := ln.Read(got); string(got[:n]) != "READY=1" {
			t.Errorf("%s: the supervisor heard %q, %v", name, got[:n], err)
		}
		_ = ln.Close()
	}
	notify(nil, "READY=1")
	notify([]string{"NOTIFY_SOCKET=/does/not/exist"}, "READY=1")
}
