//go:build e2e

package e2e

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// comparisons is how many generated ACL files Barid and Mosquitto are compared with.
const comparisons = 25

// who is a client that both brokers know.
type who struct{ client, user string }

var clients = []who{
	{"c1", ""}, {"c1", "alice"}, {"bob", "bob"}, {"a/b", "carol"}, {"c+1", "alice"}, {"x", "we#ird"}, {"alice", ""},
}

// words are the levels of topics; the names are those of clients, so that patterns have something to match.
var words = []string{"a", "b", "c1", "alice", "bob"}

// Barid and Mosquitto have the same users, in a file that mosquitto_passwd made, and the same ACL files. Whoever publishes
// or subscribes, the same messages go through. A SUBSCRIBE that only Barid refuses is one that yields nothing.
func TestACLFilesMeanWhatMosquittoMakesOfThem(t *testing.T) {
	passwords := filepath.Join(t.TempDir(), "passwords")
	for i, user := range []string{"alice", "bob", "carol", "we#ird", "admin"} {
		hash := []string{"sha512-pbkdf2", "sha512"}[i%2]
		args := []string{"-H", hash, "-b", passwords, user, "pw-" + user}
		if i == 0 {
			args = append([]string{"-c"}, args...)
		}
		run(t, "mosquitto_passwd", args...)
	}
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	answers, granted := 0, 0
	for i := range comparisons {
		random := rand.New(rand.NewPCG(seed, uint64(i)))
		acl := randomACL(random)
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			a, g := compare(t, random, passwords, acl)
			answers, granted = answers+a, granted+g
			if t.Failed() {
				t.Logf("the ACL file:\n%s", acl)
			}
		})
	}
	t.Logf("%d answers compared, of which %d were a grant", answers, granted)
	if granted < answers/20 || granted > answers*19/20 {
		t.Errorf("the comparison is lopsided")
	}
}

// compare asks both brokers about everything, for one ACL file.
func compare(t *testing.T, random *rand.Rand, passwords, acl string) (answers, granted int) {
	file := filepath.Join(t.TempDir(), "acl")
	check(t, "writing the ACL file", os.WriteFile(file, []byte(acl), 0o644))
	ports := []string{startBaridWith(t, passwords, file), startMosquittoWith(t, passwords, file)}
	topics := make([]string, 14)
	for i := range topics {
		topics[i] = randomTopic(random)
	}
	filters := []string{"#"}
	for range 7 {
		filters = append(filters, randomFilter(random, words))
	}
	for _, c := range clients {
		var got [2][]string
		for i, port := range ports {
			got[i] = ask(t, port, c, filters, topics)
		}
		answers += len(filters)*len(topics) + len(topics)
		granted += len(got[0])
		for i, one := range got {
			for _, line := range one {
				if !slices.Contains(got[1-i], line) {
					t.Errorf("client %q, user %q: only %s lets through: %s", c.client, c.user, []string{"Barid", "Mosquitto"}[i], line)
				}
			}
		}
	}
	return answers, granted
}

// ask returns what a broker lets through: each topic of each filter, and each topic that the client publishes to.
func ask(t *testing.T, port string, c who, filters, topics []string) (through []string) {
	t.Helper()
	admin, code := wireTo(t, port, "the admin", "admin", "pw-admin")
	if code.Failed() {
		t.Fatalf("port %s: the admin is refused: %v", port, code)
	}
	password := ""
	if c.user != "" {
		password = "pw-" + c.user
	}
	w, code := wireTo(t, port, c.client, c.user, password)
	if code.Failed() {
		t.Fatalf("port %s: client %+v is refused: %v", port, c, code)
	}
	for _, f := range filters {
		ok := w.subscribe(f)
		for _, topic := range topics {
			admin.publish(topic, "x")
		}
		got := w.received(f)
		if !ok && len(got) > 0 {
			t.Errorf("port %s: client %+v gets %q by %s, which was refused", port, c, got, f)
		}
		for _, m := range got {
			through = append(through, f+" ← "+m)
		}
	}
	for _, f := range []string{"#", "$x/#"} {
		if !admin.subscribe(f) {
			t.Fatalf("port %s: the admin may not subscribe to %s", port, f)
		}
	}
	for i, topic := range topics {
		w.publish(topic, fmt.Sprint(i))
	}
	for _, m := range append(admin.received("#"), admin.received("$x/#")...) {
		through = append(through, "→ "+m)
	}
	_ = w.conn.Close()
	_ = admin.conn.Close()
	return through
}

func startBaridWith(t *testing.T, passwords, acl string) (port string) {
	t.Helper()
	b, err := startBroker(t.TempDir(), "auth.password_file="+passwords, "auth.acl_file="+acl, "auth.allow_anonymous=true")
	check(t, "starting Barid", err)
	t.Cleanup(func() { check(t, "stopping Barid", b.stop()) })
	return b.port("tcp")
}

func startMosquittoWith(t *testing.T, passwords, acl string) (port string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, "finding a port", err)
	_, port, _ = net.SplitHostPort(l.Addr().String())
	check(t, "freeing the port", l.Close())
	conf := filepath.Join(t.TempDir(), "mosquitto.conf")
	check(t, "writing mosquitto.conf", os.WriteFile(conf, fmt.Appendf(nil,
		"listener %s 127.0.0.1\nallow_anonymous true\npassword_file %s\nacl_file %s\nuser root\n", port, passwords, acl), 0o644))
	path := "/usr/sbin/mosquitto" // not in everybody's PATH
	if _, err := os.Stat(path); err != nil {
		path = installed(t, "mosquitto")
	}
	p, err := startProcess(exec.Command(path, "-c", conf))
	check(t, "starting Mosquitto", err)
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		<-p.done
		if t.Failed() {
			t.Logf("mosquitto printed:\n%s", p.output())
		}
	})
	for deadline := time.Now().Add(patience); ; {
		nc, err := net.Dial("tcp", "127.0.0.1:"+port)
		if err == nil {
			_ = nc.Close()
			return port
		}
		if time.Now().After(deadline) {
			t.Fatalf("mosquitto does not listen: %v\n%s", err, p.output())
		}
		select {
		case <-p.done:
			t.Fatalf("mosquitto ended: %v\n%s", p.err, p.output())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// randomACL makes an ACL file. The admin may do everything.
func randomACL(r *rand.Rand) string {
	var b strings.Builder
	fmt.Fprintln(&b, "# generated")
	lines := func(kind string, most int, words []string) {
		for range r.IntN(most + 1) {
			access := []string{"", "read ", "write ", "readwrite ", "deny "}[r.IntN(5)]
			fmt.Fprintf(&b, "%s %s%s\n", kind, access, randomFilter(r, words))
		}
	}
	lines("topic", 3, words)
	patterns := append(slices.Clone(words), "%c", "%u", "%c", "%u", "x%c", "%u%c")
	for _, user := range []string{"alice", "bob", "alice", "carol", "we#ird"} {
		if r.IntN(3) > 0 {
			fmt.Fprintf(&b, "user %s\n", user)
			lines("topic", 4, words)
		}
		lines("pattern", 1, patterns)
	}
	fmt.Fprint(&b, "user admin\ntopic readwrite #\ntopic $x/#\n")
	return b.String()
}

// randomFilter makes a filter of up to four levels, likely to match topics of randomTopic.
func randomFilter(r *rand.Rand, words []string) string {
	n := 1 + r.IntN(4)
	levels := make([]string, n)
	for i := range levels {
		switch k := r.IntN(8); {
		case k == 0 && i == n-1 || i == n-1 && n < 3 && k < 4:
			levels[i] = "#"
		case k < 4:
			levels[i] = "+"
		case k == 4 && i == 0:
			levels[i] = "$x"
		default:
			levels[i] = words[r.IntN(len(words))]
		}
	}
	return strings.Join(levels, "/")
}

func randomTopic(r *rand.Rand) string {
	levels := make([]string, 1+r.IntN(4))
	for i := range levels {
		levels[i] = words[r.IntN(len(words))]
		if i == 0 && r.IntN(8) == 0 {
			levels[i] = "$x"
		}
		if r.IntN(12) == 0 && i > 0 {
			levels[i] = ""
		}
	}
	return strings.Join(levels, "/")
}
