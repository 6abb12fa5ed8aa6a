//go:build e2e

// Package deploy checks what lies in deploy/ by using it: the chart is rendered and decoded, the image built and started,
// the package installed, upgraded and removed, the unit analysed, a release built. scripts/deploy/install.sh installs the
// tools; the tests of packages and images need root.
package deploy

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// patience is how long a test waits for anything that starts.
const patience = 30 * time.Second

// root is the checkout.
var root string

func TestMain(m *testing.M) {
	wd, err := os.Getwd()
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	root = filepath.Join(wd, "..", "..")
	os.Exit(m.Run())
}

// command is a command in the checkout.
func command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = root
	return cmd
}

// run runs a command in the checkout and returns what it printed; it must succeed.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// feed runs a command with input.
func feed(t *testing.T, input []byte, name string, args ...string) (string, error) {
	t.Helper()
	cmd := command(name, args...)
	cmd.Stdin = bytes.NewReader(input)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// barid builds the program once for all tests.
func barid(t *testing.T) string {
	t.Helper()
	program := filepath.Join(os.TempDir(), fmt.Sprintf("barid-deploy-%d", os.Getpid()))
	if _, err := os.Stat(program); err != nil {
		run(t, "go", "build", "-o", program, ".")
	}
	return program
}

// freePort returns a port of this machine that nobody has.
func freePort(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	_, port, _ := net.SplitHostPort(ln.Addr().String())
	return port
}

// needRoot fails a test that installs or mounts when it cannot.
func needRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Fatal("this test installs, mounts and changes its user: it needs root")
	}
}
