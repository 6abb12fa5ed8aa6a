//go:build e2e && linux

package e2e

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// This file has data directories that a broker must not, or cannot, use, as its user meets them: one line that says what
// is wrong, exit status 1, and nothing lost once it is put right.

// stored is a stopped broker's directory with messages that a session which is away was promised.
type stored struct{ dir, data string }

const storedMessages = 20

// storedAway has a broker acknowledge messages for a session that is away, and ends it: kill it, or stop it.
func storedAway(t *testing.T, end func(*broker)) stored {
	t.Helper()
	s := stored{dir: t.TempDir()}
	s.data = filepath.Join(s.dir, "data")
	b := s.start(t)
	port := b.port("tcp")
	run(t, "mosquitto_sub", "-p", port, "-c", "-i", "away", "-q", "1", "-t", "kept/#", "-E")
	for i := range storedMessages {
		run(t, "mosquitto_pub", "-p", port, "-q", "1", "-t", "kept/"+strconv.Itoa(i), "-m", "message "+strconv.Itoa(i))
	}
	end(b)
	<-b.done
	return s
}

func kill(b *broker) { b.cmd.Process.Kill() }

func (s stored) start(t *testing.T) *broker {
	t.Helper()
	b, err := startBroker(s.dir)
	check(t, "starting the broker", err)
	t.Cleanup(func() {
		b.cmd.Process.Kill()
		<-b.done
	})
	return b
}

// hasAll checks that a broker on the directory delivers everything.
func (s stored) hasAll(t *testing.T) {
	t.Helper()
	b := s.start(t)
	got := run(t, "mosquitto_sub", "-p", b.port("tcp"), "-c", "-i", "away", "-q", "1", "-t", "kept/#", "-C", strconv.Itoa(storedMessages), "-W", "10")
	for i, line := range strings.Split(strings.TrimSpace(got), "\n") {
		if want := "message " + strconv.Itoa(i); line != want {
			t.Fatalf("message %d is %q", i, line)
		}
	}
	check(t, "stopping the broker", b.stop())
}

// refused checks that a broker does not start on the directory, and says in one line why.
func (s stored) refused(t *testing.T, why ...string) {
	t.Helper()
	p := background(t, "barid", "serve", "--set", "data_dir="+s.data, "--set", "listeners.tcp.bind=127.0.0.1:0", "--set", "listeners.ws=", "--set", "api.bind=127.0.0.1:0")
	var exit *exec.ExitError
	if err := p.wait(patience); !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("it ended with %v, want exit status 1", err)
	}
	lines := p.lines()
	if len(lines) != 1 {
		t.Errorf("it printed %d lines, want one:\n%s", len(lines), p.output())
	}
	for _, text := range why {
		if !strings.Contains(lines[len(lines)-1], text) {
			t.Errorf("%q does not say %q", lines[len(lines)-1], text)
		}
	}
}

func TestASecondBrokerOnADirectoryIsRefused(t *testing.T) {
	s := storedAway(t, kill)
	b := s.start(t)
	s.refused(t, s.data, "in use by another process")
	check(t, "stopping the first", b.stop())
	s.hasAll(t)
}

func TestADirectoryOfAnotherVersionIsRefused(t *testing.T) {
	s := storedAway(t, kill)
	version := filepath.Join(s.data, "VERSION")
	mine, err := os.ReadFile(version)
	check(t, "reading the version", err)
	for text, why := range map[string]string{
		"barid data 2\n": "has version 2; this program knows versions up to 1",
		"barid data 0\n": `does not say "barid data " and a number`,
		"":               `does not say "barid data " and a number`,
	} {
		check(t, "writing the version", os.WriteFile(version, []byte(text), 0o600))
		s.refused(t, s.data, why)
		got, err := os.ReadFile(version)
		check(t, "reading the version", err)
		if string(got) != text {
			t.Errorf("the version was %q and is %q now", text, got)
		}
	}
	check(t, "removing the version", os.Remove(version))
	s.refused(t, s.data, "no VERSION file")
	check(t, "writing the version", os.WriteFile(version, mine, 0o600))
	s.hasAll(t)
}

// newest returns the last file of the log, and where what was written in it ends.
func (s stored) newest(t *testing.T) (name string, content []byte, end int) {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(s.data, "log", "*.wal"))
	check(t, "listing the log", err)
	name = all[len(all)-1]
	content, err = os.ReadFile(name)
	check(t, "reading the log", err)
	return name, content, len(bytes.TrimRight(content, "\x00"))
}

// A power cut may leave the beginning of a block that was never acknowledged.
func TestATornEndOfTheLogIsCutOff(t *testing.T) {
	s := storedAway(t, kill)
	name, content, end := s.newest(t)
	end = (end + 63) &^ 63
	copy(content[end:], content[bytes.Index(content, []byte("message 3")):][:500])
	check(t, "writing the log", os.WriteFile(name, content, 0o600))
	b := s.start(t)
	if !strings.Contains(b.output(), "torn end") {
		t.Errorf("it does not say that the end was cut off:\n%s", b.output())
	}
	check(t, "stopping the broker", b.stop())
	s.hasAll(t)
}

// What was acknowledged and is damaged is not passed over in silence, and can be put back.
func TestADamagedBlockIsRefusedWithItsPlace(t *testing.T) {
	s := storedAway(t, kill)
	name, content, _ := s.newest(t)
	at := bytes.Index(content, []byte("message 5"))
	content[at] ^= 1
	check(t, "writing the log", os.WriteFile(name, content, 0o600))
	s.refused(t, filepath.Base(name), "offset")
	content[at] ^= 1
	check(t, "writing the log", os.WriteFile(name, content, 0o600))
	s.hasAll(t)
}

func TestAReadOnlyDirectoryIsRefused(t *testing.T) {
	s := storedAway(t, func(b *broker) { check(t, "stopping the broker", b.stop()) })
	writable := readOnly(t, s.data)
	s.refused(t, s.data)
	writable()
	s.hasAll(t)
}

// readOnly makes a directory read-only until the function that it returns is called. Root may write where a mode forbids
// it, so for root it is mounted over itself.
func readOnly(t *testing.T, dir string) (undo func()) {
	t.Helper()
	if os.Geteuid() != 0 {
		check(t, "chmod", os.Chmod(dir, 0o500))
		return func() { check(t, "chmod", os.Chmod(dir, 0o700)) }
	}
	mount := func(flags uintptr) error { return syscall.Mount(dir, dir, "", flags, "") }
	if err := mount(syscall.MS_BIND); err != nil {
		t.Skip("this root may not mount: ", err)
	}
	undone := false
	undo = func() {
		if !undone {
			undone = true
			check(t, "unmounting", syscall.Unmount(dir, syscall.MNT_DETACH))
		}
	}
	t.Cleanup(undo)
	check(t, "mounting", mount(syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY))
	return undo
}
