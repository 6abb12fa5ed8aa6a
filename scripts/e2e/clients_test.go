//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// example is a running program of docs/clients.
type example struct {
	name string
	*process
}

// The examples of docs/clients do what their page says: with a user and TLS each gets what the others publish, also after
// the broker was killed and came back, and hears of it when one vanishes and when one says goodbye.
func TestTheExamplesOfClientsMeet(t *testing.T) {
	dir := t.TempDir()
	users := filepath.Join(dir, "users")
	run(t, "barid", "passwd", "-c", "-b", users, "alice", "wonderland")
	port := freePort(t)
	start := func() *broker {
		b, err := startBroker(dir, "auth.password_file="+users, "listeners.tls.bind=127.0.0.1:"+port)
		check(t, "starting", err)
		t.Cleanup(func() {
			b.cmd.Process.Kill()
			<-b.done
		})
		return b
	}
	b := start()
	all := startExamples(t, dir, port)
	everyoneHears(t, all, func(name string) string { return "demo/" + name + " message " })
	everyoneHears(t, all, func(name string) string { return "demo/" + name + "/status online" })

	check(t, "killing the broker", b.cmd.Process.Kill())
	<-b.done
	b = start()
	everyoneHearsMore(t, all)

	// One vanishes, and the broker speaks for it; one says goodbye, and nobody does.
	killed, left, others := all[0], all[1], all[2:]
	check(t, "killing", killed.cmd.Process.Kill())
	everyoneHears(t, others, func(string) string { return "demo/" + killed.name + "/status offline" })
	will := "demo/" + left.name + "/status offline"
	before := make([]int, len(others)) // since the broker was killed
	for i, e := range others {
		before[i] = strings.Count(e.output(), will)
	}
	check(t, "interrupting", left.cmd.Process.Signal(os.Interrupt))
	check(t, "the example in "+left.name, left.wait(patience))
	everyoneHearsMore(t, others)
	for i, e := range others {
		if strings.Count(e.output(), will) != before[i] {
			t.Errorf("%s said goodbye, and %s got its will", left.name, e.name)
		}
	}
	check(t, "stopping", b.stop())
}

// startExamples builds and starts the examples.
func startExamples(t *testing.T, dir, port string) []example {
	t.Helper()
	program := func(name string, build ...string) string {
		to := filepath.Join(dir, "example-"+name)
		out, err := exec.Command(installed(t, build[0]), append(build[1:], to)...).CombinedOutput()
		check(t, fmt.Sprintf("building the example in %s: %s", name, out), err)
		return to
	}
	const at = "../../docs/clients/"
	commands := []struct {
		name string
		args []string
	}{
		{"c", []string{program("c", "gcc", "-Wall", "-Wextra", "-Werror", at+"c/client.c", "-lmosquitto", "-o")}},
		{"python", []string{pythonWithPaho(t), at + "python/client.py"}},
		{"javascript", []string{installed(t, "node"), at + "javascript/client.js"}},
		{"go", []string{program("go", "go", "build", "-C", at+"go", "-o")}},
	}
	var all []example
	for _, c := range commands {
		cmd := exec.Command(c.args[0], c.args[1:]...)
		cmd.Env = append(os.Environ(), "NODE_PATH="+filepath.Join(cacheDir(t), "node_modules"),
			"MQTT_HOST=localhost", "MQTT_PORT="+port, "MQTT_CA="+trust.ca, "MQTT_USER=alice", "MQTT_PASSWORD=wonderland", "MQTT_CLIENT_ID="+c.name)
		p, err := startProcess(cmd)
		check(t, "starting the example in "+c.name, err)
		t.Cleanup(func() {
			p.cmd.Process.Kill()
			<-p.done
			if t.Failed() {
				t.Logf("the example in %s printed:\n%s", c.name, p.output())
			}
		})
		all = append(all, example{c.name, p})
	}
	return all
}

// everyoneHears waits until each of them has printed what is expected of each.
func everyoneHears(t *testing.T, all []example, of func(name string) string) {
	t.Helper()
	for _, e := range all {
		for _, from := range all {
			check(t, "the example in "+e.name, e.waitFor(of(from.name)))
		}
	}
}

// everyoneHearsMore waits until each of them has three more messages of each than any had.
func everyoneHearsMore(t *testing.T, all []example) {
	t.Helper()
	next := map[string]int{}
	for _, e := range all {
		for _, from := range all {
			next[from.name] = max(next[from.name], 3+strings.Count(e.output(), "demo/"+from.name+" message "))
		}
	}
	everyoneHears(t, all, func(name string) string { return fmt.Sprintf("demo/%s message %d\n", name, next[name]) })
}

// freePort returns a port that nobody uses, for a broker that comes back to it.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, "listening", err)
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	check(t, "reading the port", err)
	return port
}
