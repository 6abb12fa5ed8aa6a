//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// baridVia returns the flags that lead barid's own clients to a listener of the shared broker.
func baridVia(listener string) []string {
	switch listener {
	case "ws":
		return []string{"-L", shared.urls["ws"].String()}
	case "wss":
		u := *shared.urls["wss"]
		u.Host = "localhost:" + u.Port()
		return []string{"-L", u.String(), "--cafile", trust.ca}
	}
	return via(listener)
}

// baridSubscribed starts barid sub and waits until its subscription is granted.
func baridSubscribed(t *testing.T, args []string) *process {
	t.Helper()
	p := background(t, "barid", append([]string{"sub", "-d", "-F", mark + "%t %p %q %r"}, args...)...)
	check(t, "barid sub", p.waitFor("subscribed to "))
	return p
}

func TestBaridEveryQoSAndTransport(t *testing.T) {
	for _, listener := range []string{"tcp", "tls", "ws", "wss", "unix"} {
		for qos := range 3 {
			t.Run(fmt.Sprintf("%s/QoS%d", listener, qos), func(t *testing.T) {
				t.Parallel()
				topic := newTopic(t)
				common := flags(baridVia(listener), "-q", fmt.Sprint(qos), "-t", topic)
				sub := baridSubscribed(t, flags(common, "-C 1"))
				run(t, "barid", flags("pub", common, "-m", "hello")...)
				check(t, "barid sub", sub.wait(patience))
				wantMessages(t, sub, fmt.Sprintf("%s hello %d 0", topic, qos))
			})
		}
	}
}

func TestBaridPubTakesItsMessageFromAnywhere(t *testing.T) {
	topic := newTopic(t)
	sub := baridSubscribed(t, flags(via("tcp"), "-C 6 -t", topic))
	file := filepath.Join(t.TempDir(), "message")
	check(t, "writing", os.WriteFile(file, []byte("from a file"), 0o600))
	withInput := func(input string, args ...string) {
		t.Helper()
		cmd := exec.CommandContext(soon(t), program, flags("pub", via("tcp"), "-t", topic, args)...)
		cmd.Stdin = strings.NewReader(input)
		out, err := cmd.CombinedOutput()
		check(t, "barid pub "+string(out), err)
	}
	withInput("", "-m", "a text")
	withInput("", "-f", file)
	withInput("one\n\ntwo", "-l")
	withInput("whole", "-s")
	check(t, "barid sub", sub.wait(patience))
	var want []string
	for _, payload := range []string{"a text", "from a file", "one", "", "two", "whole"} {
		want = append(want, topic+" "+payload+" 0 0")
	}
	wantMessages(t, sub, want...)
}

func TestBaridRetained(t *testing.T) {
	topic := newTopic(t)
	run(t, "barid", flags("pub -r", via("tcp"), "-t", topic, "-m", "kept")...)
	if got := run(t, "barid", flags("sub -v -C 1", via("tcp"), "-t", topic)...); got != topic+" kept\n" {
		t.Errorf("got %q", got)
	}
	without := background(t, "barid", flags("sub -R -W 1", via("tcp"), "-t", topic)...)
	wantExit(t, without, 27)
	if got := without.output(); got != "" {
		t.Errorf("-R: got %q", got)
	}
	run(t, "barid", flags("pub -r -n", via("tcp"), "-t", topic)...)
	none := background(t, "barid", flags("sub -W 1", via("tcp"), "-t", topic)...)
	wantExit(t, none, 27)
	if got := none.output(); got != "" {
		t.Errorf("after removal: got %q", got)
	}
}

func wantExit(t *testing.T, p *process, want int) {
	t.Helper()
	var exit *exec.ExitError
	if err := p.wait(patience); !errors.As(err, &exit) || exit.ExitCode() != want {
		t.Errorf("%q ended with %v, want status %d", p.cmd.Args, err, want)
	}
}

func TestBaridPersistentSessionLosesNothingAndRepeatsNothing(t *testing.T) {
	topic := newTopic(t)
	session := flags(via("tcp"), "-c -q 1 -i", fmt.Sprintf("persist%d", topics.Add(1)), "-t", topic)
	run(t, "barid", flags("sub -E", session)...)
	for i := range 4 {
		run(t, "barid", flags("pub -q 1", via("tcp"), "-t", topic, "-m", fmt.Sprint(i))...)
	}
	if got := run(t, "barid", flags("sub -C 1", session)...); got != "0\n" {
		t.Errorf("the first message: got %q", got)
	}
	if got := run(t, "barid", flags("sub -C 3", session)...); got != "1\n2\n3\n" {
		t.Errorf("the others: got %q", got)
	}
}

func TestBaridWill(t *testing.T) {
	topic := newTopic(t)
	watcher := baridSubscribed(t, flags(via("tcp"), "-C 1 -t", topic+"/will"))
	dying := baridSubscribed(t, flags(via("tcp"), "-t", topic, "--will-topic", topic+"/will", "--will-payload", "gone"))
	check(t, "killing", dying.cmd.Process.Kill())
	check(t, "barid sub", watcher.wait(patience))
	wantMessages(t, watcher, topic+"/will gone 0 0")
}

func TestTakeoverTellsTheFirstClient(t *testing.T) {
	topic := newTopic(t)
	id := fmt.Sprintf("twice%d", topics.Add(1))
	first := baridSubscribed(t, flags(via("tcp"), "-i", id, "-t", topic))
	second := baridSubscribed(t, flags(via("tcp"), "-i", id, "-C 1 -t", topic))
	wantExit(t, first, 1)
	if out := first.output(); !strings.Contains(out, "session taken over (0x8E)") {
		t.Errorf("the first client printed %q", out)
	}
	run(t, "barid", flags("pub", via("tcp"), "-t", topic, "-m", "x")...)
	check(t, "the second client", second.wait(patience))
}

func TestBaridSaysWhatIsWrong(t *testing.T) {
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"nobody listens", []string{"pub", "-h", "127.0.0.1", "-p", "1", "-t", "a", "-m", "b"}, "cannot connect to mqtt://127.0.0.1:1: connection refused"},
		{"unknown authority", flags("pub --insecure -t a -m b -h localhost -p", shared.port("tls")), "certificate signed by unknown authority"},
		{"wrong path", []string{"pub", "-t", "a", "-m", "b", "-L", strings.Replace(shared.urls["ws"].String(), "/mqtt", "/nothing", 1)}, "the server answered 404"},
		{"bad filter", flags("sub", via("tcp"), "-t", "a/#/b"), "barid sub: subscribing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := background(t, "barid", tt.args...)
			wantExit(t, p, 1)
			if out := p.output(); !strings.Contains(out, tt.want) || len(p.lines()) != 1 {
				t.Errorf("got %q, want one line with %q", out, tt.want)
			}
		})
	}
}
