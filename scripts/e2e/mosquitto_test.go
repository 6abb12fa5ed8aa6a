//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
)

// mosquittoVersions are the protocol versions as mosquitto's clients call them.
var mosquittoVersions = []string{"mqttv31", "mqttv311", "mqttv5"}

// via returns the flags that lead mosquitto's and barid's clients to a listener of the shared broker.
func via(listener string) []string {
	switch listener {
	case "unix":
		return []string{"--unix", shared.urls["unix"].Path}
	case "tls":
		return []string{"-h", "localhost", "-p", shared.port("tls"), "--cafile", trust.ca}
	}
	return []string{"-h", "127.0.0.1", "-p", shared.port(listener)}
}

// flags makes one list of arguments.
func flags(lists ...any) []string {
	var args []string
	for _, list := range lists {
		switch list := list.(type) {
		case string:
			args = append(args, strings.Fields(list)...)
		case []string:
			args = append(args, list...)
		}
	}
	return args
}

// subscribed starts a mosquitto_sub and waits until the broker has granted its subscription. What it prints afterwards
// follows the mark.
func subscribed(t *testing.T, args []string) *process {
	t.Helper()
	p := subscribing(t, args)
	check(t, "mosquitto_sub", p.waitFor("Subscribed (mid: "))
	return p
}

// subscribing starts a mosquitto_sub.
func subscribing(t *testing.T, args []string) *process {
	t.Helper()
	return background(t, "mosquitto_sub", append([]string{"-d", "-F", mark + "%t %p %q %r"}, args...)...)
}

// mark tells a message from the other lines that mosquitto_sub -d prints.
const mark = "message: "

// messages returns the messages that subscribed printed: topic, payload, QoS, and 1 if retained.
func messages(p *process) []string {
	var found []string
	for _, line := range p.lines() {
		if rest, ok := strings.CutPrefix(line, mark); ok {
			found = append(found, rest)
		}
	}
	return found
}

func wantMessages(t *testing.T, p *process, want ...string) {
	t.Helper()
	if got := messages(p); strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("got messages %q, want %q", got, want)
	}
}

func TestMosquittoEveryVersionQoSAndTransport(t *testing.T) {
	for _, listener := range []string{"tcp", "tls", "unix"} {
		for _, version := range mosquittoVersions {
			for qos := range 3 {
				t.Run(fmt.Sprintf("%s/%s/QoS%d", listener, version, qos), func(t *testing.T) {
					t.Parallel()
					topic := newTopic(t)
					common := flags(via(listener), "-V", version, "-q", fmt.Sprint(qos), "-t", topic)
					sub := subscribed(t, flags("-C 1", common))
					run(t, "mosquitto_pub", flags(common, "-m", "hello")...)
					check(t, "mosquitto_sub", sub.wait(patience))
					wantMessages(t, sub, fmt.Sprintf("%s hello %d 0", topic, qos))
				})
			}
		}
	}
}

func TestMosquittoVersionsTalkToEachOther(t *testing.T) {
	topic := newTopic(t)
	var subs []*process
	for _, version := range mosquittoVersions {
		subs = append(subs, subscribed(t, flags(via("tcp"), "-C 3 -q 2 -V", version, "-t", topic)))
	}
	for qos, version := range mosquittoVersions {
		run(t, "mosquitto_pub", flags(via("tcp"), "-V", version, "-q", fmt.Sprint(qos), "-t", topic, "-m", version)...)
	}
	for _, sub := range subs {
		check(t, "mosquitto_sub", sub.wait(patience))
		wantMessages(t, sub, topic+" mqttv31 0 0", topic+" mqttv311 1 0", topic+" mqttv5 2 0")
	}
}

func TestMosquittoManyMessagesKeepTheirOrder(t *testing.T) {
	const count = 2000
	for qos := range 3 {
		t.Run(fmt.Sprintf("QoS%d", qos), func(t *testing.T) {
			topic := newTopic(t)
			common := flags(via("tcp"), "-q", fmt.Sprint(qos), "-t", topic)
			sub := subscribed(t, flags("-C", fmt.Sprint(count), common))
			var input strings.Builder
			var want []string
			for i := range count {
				fmt.Fprintln(&input, i)
				want = append(want, fmt.Sprintf("%s %d %d 0", topic, i, qos))
			}
			pub := exec.CommandContext(soon(t), installed(t, "mosquitto_pub"), flags(common, "-l")...)
			pub.Stdin = strings.NewReader(input.String())
			out, err := pub.CombinedOutput()
			check(t, "mosquitto_pub -l "+string(out), err)
			check(t, "mosquitto_sub", sub.wait(patience))
			wantMessages(t, sub, want...)
		})
	}
}

func TestMosquittoRetained(t *testing.T) {
	for _, version := range mosquittoVersions {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			topic := newTopic(t)
			common := flags(via("tcp"), "-V", version, "-q 1 -t", topic)
			run(t, "mosquitto_pub", flags(common, "-r -m", "kept")...)
			live := subscribed(t, flags(common, "-C 2"))
			check(t, "the retained message", live.waitFor(topic+" kept 1 1"))
			run(t, "mosquitto_pub", flags(common, "-r -m", "newer")...)
			check(t, "mosquitto_sub", live.wait(patience))
			wantMessages(t, live, topic+" kept 1 1", topic+" newer 1 0") // RETAIN is off for who was subscribed already

			late := subscribed(t, flags(common, "-C 1"))
			check(t, "mosquitto_sub", late.wait(patience))
			wantMessages(t, late, topic+" newer 1 1")

			run(t, "mosquitto_pub", flags(common, "-r -n")...)
			none := subscribed(t, flags(common, "-W 1"))
			var exit *exec.ExitError
			if err := none.wait(patience); !errors.As(err, &exit) || exit.ExitCode() != 27 {
				t.Errorf("after removal: mosquitto_sub ended with %v, want a timeout", err)
			}
			wantMessages(t, none)
		})
	}
}

func TestMosquittoWill(t *testing.T) {
	for _, version := range mosquittoVersions {
		t.Run(version, func(t *testing.T) {
			t.Parallel()
			topic := newTopic(t)
			watcher := subscribed(t, flags(via("tcp"), "-V", version, "-C 1 -q 2 -t", topic+"/will"))
			will := []string{"--will-topic", topic + "/will", "--will-payload", "gone", "--will-qos", "1"}
			polite := subscribed(t, flags(via("tcp"), "-V", version, "-C 1 -t", topic, will))
			dying := subscribed(t, flags(via("tcp"), "-V", version, "-t", topic, will))
			run(t, "mosquitto_pub", flags(via("tcp"), "-t", topic, "-m", "x")...)
			check(t, "the client that disconnects", polite.wait(patience)) // its will is discarded
			wantMessages(t, watcher)
			check(t, "killing", dying.cmd.Process.Kill())
			check(t, "mosquitto_sub", watcher.wait(patience))
			wantMessages(t, watcher, topic+"/will gone 1 0")
		})
	}
}

func TestMosquittoPersistentSession(t *testing.T) {
	for _, version := range mosquittoVersions {
		for _, qos := range []string{"1", "2"} {
			t.Run(version+"/QoS"+qos, func(t *testing.T) {
				t.Parallel()
				topic := newTopic(t)
				id := fmt.Sprintf("persist%d", topics.Add(1))
				session := flags(via("tcp"), "-V", version, "-c -i", id, "-q", qos, "-t", topic)
				run(t, "mosquitto_sub", flags(session, "-E")...)
				var want []string
				for i := range 5 {
					run(t, "mosquitto_pub", flags(via("tcp"), "-q", qos, "-t", topic, "-m", fmt.Sprint(i))...)
					want = append(want, fmt.Sprintf("%s %d %s 0", topic, i, qos))
				}
				back := subscribing(t, flags(session, "-C 5")) // the messages may come before the SUBACK
				check(t, "mosquitto_sub", back.wait(patience))
				wantMessages(t, back, want...)
			})
		}
	}
}

func TestMosquittoSharedSubscription(t *testing.T) {
	const count = 40
	topic := newTopic(t)
	share := flags(via("tcp"), "-V mqttv5 -q 1 -t", "$share/workers/"+topic)
	a, b := subscribed(t, share), subscribed(t, share)
	all := subscribed(t, flags(via("tcp"), "-q 1 -C", fmt.Sprint(count), "-t", topic))
	for i := range count {
		run(t, "mosquitto_pub", flags(via("tcp"), "-q 1 -t", topic, "-m", fmt.Sprint(i))...)
	}
	check(t, "the plain subscriber", all.wait(patience))
	for i := range count {
		line := fmt.Sprintf("%s%s %d 1 0\n", mark, topic, i)
		waitForEither(t, line, a, b)
		if strings.Contains(a.output(), line) && strings.Contains(b.output(), line) {
			t.Errorf("message %d went to both members", i)
		}
	}
	if got := len(messages(a)); got < count/4 || got > 3*count/4 {
		t.Errorf("one of two members got %d of %d messages", got, count)
	}
}

// waitForEither waits until one of two processes has printed text.
func waitForEither(t *testing.T, text string, a, b *process) {
	t.Helper()
	ctx := soon(t)
	for {
		inA, changedA := a.look()
		inB, changedB := b.look()
		if strings.Contains(inA, text) || strings.Contains(inB, text) {
			return
		}
		select {
		case <-changedA:
		case <-changedB:
		case <-ctx.Done():
			t.Fatalf("neither printed %q", text)
		}
	}
}

func TestMosquittoWildcards(t *testing.T) {
	topic := newTopic(t)
	plus := subscribed(t, flags(via("tcp"), "-C 1 -t", topic+"/+/c"))
	hash := subscribed(t, flags(via("tcp"), "-C 3 -t", topic+"/#"))
	for _, sub := range []string{"", "/a/b", "/a/c"} {
		run(t, "mosquitto_pub", flags(via("tcp"), "-t", topic+sub, "-m", "x")...)
	}
	check(t, "mosquitto_sub +", plus.wait(patience))
	check(t, "mosquitto_sub #", hash.wait(patience))
	wantMessages(t, plus, topic+"/a/c x 0 0")
	wantMessages(t, hash, topic+" x 0 0", topic+"/a/b x 0 0", topic+"/a/c x 0 0")
}

func TestMosquittoSysTopics(t *testing.T) {
	out := run(t, "mosquitto_sub", flags(via("tcp"), "-W 10 -C 1 -v -t", "$SYS/broker/version")...)
	if !strings.HasPrefix(out, "$SYS/broker/version ") {
		t.Errorf("got %q", out)
	}
}
