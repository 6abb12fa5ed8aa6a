//go:build e2e

package deploy

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestTheUnitIsHardened(t *testing.T) {
	out := run(t, "systemd-analyze", "security", "--offline=true", "--threshold=20", "deploy/systemd/barid.service") // of 100
	if !strings.Contains(out, "Overall exposure level") {
		t.Errorf("it says\n%s", out)
	}
	// The unit names a program and a user that are there once the package is installed.
	dir := t.TempDir()
	unit := strings.ReplaceAll(read(t, filepath.Join(root, "deploy/systemd/barid.service")), "/usr/bin/barid", barid(t))
	if err := os.WriteFile(filepath.Join(dir, "barid.service"), []byte(unit), 0o644); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("systemd-analyze", "verify", "--man=no", filepath.Join(dir, "barid.service")).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}

// lintian has nothing against the package as it is released, and its manual is one for man.
func TestThePackageIsAsDebianWantsIt(t *testing.T) {
	dir := t.TempDir()
	build := command("deploy/debian/build.sh", dir)
	build.Env = append(os.Environ(), "VERSION=0.1.0", "BINARY=")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	lintian := exec.Command("lintian", "--fail-on", "error,warning", filepath.Join(dir, "barid_0.1.0_"+strings.TrimSpace(run(t, "dpkg", "--print-architecture"))+".deb"))
	if out, err := lintian.CombinedOutput(); err != nil {
		t.Errorf("lintian: %v\n%s", err, out)
	}
	page := filepath.Join(dir, "barid.1")
	if err := os.WriteFile(page, []byte(run(t, barid(t), "help", "man")), 0o644); err != nil {
		t.Fatal(err)
	}
	man := exec.Command("man", "--warnings", "-l", page)
	man.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "MANWIDTH=160")
	said, err := man.CombinedOutput()
	if text := string(said); err != nil || strings.Contains(text, "warning:") || !strings.Contains(text, "SYNOPSIS") || !strings.Contains(text, "barid serve [--config FILE]") {
		t.Errorf("man: %v\n%.2000s", err, text)
	}
}

// A package is installed, upgraded and removed: what an administrator changed and what was stored stay.
func TestThePackageComesAndGoes(t *testing.T) {
	needRoot(t)
	if out, err := exec.Command("dpkg-query", "-W", "-f", "${db:Status-Status}", "barid").Output(); err == nil && string(out) == "installed" {
		t.Fatal("the package barid is installed on this machine already")
	}
	dir := t.TempDir()
	for _, version := range []string{"0.1.0", "0.2.0"} {
		build := command("deploy/debian/build.sh", dir)
		build.Env = append(os.Environ(), "VERSION="+version, "BINARY="+barid(t))
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	packages, _ := filepath.Glob(filepath.Join(dir, "*.deb"))
	if len(packages) != 2 {
		t.Fatalf("built %v", packages)
	}
	t.Cleanup(func() { _ = exec.Command("dpkg", "--purge", "barid").Run() })
	run(t, "dpkg", "-i", packages[0])
	if v := run(t, "/usr/bin/barid", "version"); !strings.HasPrefix(v, "barid ") {
		t.Errorf("the installed program says %q", v)
	}
	run(t, "/usr/bin/barid", "check-config", "--config", "/etc/barid/barid.yaml")
	if owner := strings.TrimSpace(run(t, "stat", "-c", "%U %a", "/var/lib/barid")); owner != "barid 750" {
		t.Errorf("/var/lib/barid is of %s", owner)
	}
	change(t, "/etc/barid/barid.yaml", "logging: {level: debug}\n")
	change(t, "/var/lib/barid/kept", "x")

	run(t, "dpkg", "-i", packages[1])
	if got := run(t, "dpkg-query", "-W", "-f", "${Version}", "barid"); got != "0.2.0" {
		t.Errorf("after the upgrade it is %s", got)
	}
	if !strings.Contains(read(t, "/etc/barid/barid.yaml"), "level: debug") {
		t.Error("the upgrade took back what the administrator changed")
	}
	run(t, "dpkg", "--remove", "barid")
	if _, err := os.Stat("/usr/bin/barid"); !os.IsNotExist(err) {
		t.Errorf("the program is still there: %v", err)
	}
	if !strings.Contains(read(t, "/etc/barid/barid.yaml"), "level: debug") {
		t.Error("removing it took the configuration")
	}
	out := run(t, "dpkg", "--purge", "barid")
	if read(t, "/var/lib/barid/kept") != "x" || !strings.Contains(out, "/var/lib/barid still has") {
		t.Errorf("purging it said\n%s", out)
	}
	if _, err := os.Stat("/etc/barid/barid.yaml"); !os.IsNotExist(err) {
		t.Errorf("the configuration outlives a purge: %v", err)
	}
	if err := os.RemoveAll("/var/lib/barid"); err != nil {
		t.Error(err)
	}
}

func change(t *testing.T, path, more string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err == nil {
		_, err = f.WriteString(more)
	}
	if err != nil {
		t.Fatal(err)
	}
	_ = f.Close()
}

// A release is built for every platform, and its checksums are right.
func TestAReleaseIsBuilt(t *testing.T) {
	dir := t.TempDir()
	build := command("deploy/release.sh", dir)
	build.Env = append(os.Environ(), "PATH="+filepath.Dir(helm(t))+":"+os.Getenv("PATH"))
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for pattern, n := range map[string]int{"barid-*-linux-*.tar.gz": 3, "barid-*-darwin-*.tar.gz": 2, "barid_*.deb": 2, "barid-*.tgz": 1} {
		if found, _ := filepath.Glob(filepath.Join(dir, pattern)); len(found) != n {
			t.Errorf("%s: %v", pattern, found)
		}
	}
	check := exec.Command("sha256sum", "--check", "--strict", "SHA256SUMS")
	check.Dir = dir
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
