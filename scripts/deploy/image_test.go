//go:build e2e

package deploy

import (
	"bytes"
	"context"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

const image = "localhost/barid:test"

// The image is built, and its file system started as its user, who may write in the volume only: a message goes through, the
// health check says so, and a stop takes no force.
func TestTheImageServes(t *testing.T) {
	needRoot(t)
	storage := t.TempDir()
	buildah := func(args ...string) *exec.Cmd {
		cmd := command("buildah", append([]string{"--root", filepath.Join(storage, "root"), "--runroot", filepath.Join(storage, "run"), "--storage-driver", "vfs"}, args...)...)
		return cmd
	}
	build := command("deploy/docker/build.sh", image)
	build.Env = append(os.Environ(), "BUILDER=buildah", "BUILDAH_ISOLATION=chroot", "STORAGE_DRIVER=vfs",
		"CONTAINERS_STORAGE_CONF="+storageConf(t, storage))
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	config, err := buildah("inspect", "--type", "image", "--format", "{{.Docker.Config.User}} {{.Docker.Config.Healthcheck}} {{.Docker.Config.Entrypoint}}", image).CombinedOutput()
	if err != nil || !strings.HasPrefix(string(config), "65532:65532 ") || !strings.Contains(string(config), "ctl status") {
		t.Errorf("the image says %v %s", err, config)
	}
	name := strings.TrimSpace(output(t, buildah("from", "--pull-never", image)))
	dir := strings.TrimSpace(output(t, buildah("mount", name)))
	defer func() { _ = buildah("rm", name).Run() }()

	if files := owned(t, dir); !slices.Equal(files, []string{"/var/lib/barid"}) {
		t.Errorf("the image's user may write %q", files)
	}
	port := freePort(t)
	var log bytes.Buffer
	start := inside(dir, "/usr/bin/barid", "serve", "--config", "/etc/barid/barid.yaml", "--set", "listeners.tcp.bind=127.0.0.1:"+port,
		"--set", "listeners.ws.bind=127.0.0.1:0", "--set", "api.bind=127.0.0.1:0", "--set", "auth.allow_anonymous=true")
	start.Stdout, start.Stderr = &log, &log
	if err := start.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- start.Wait() }()
	await(t, port, ended, &log)

	if out, err := inside(dir, "/usr/bin/barid", "pub", "-h", "127.0.0.1", "-p", port, "-t", "a", "-m", "b", "-q", "1", "-r").CombinedOutput(); err != nil {
		t.Errorf("publishing: %v\n%s", err, out)
	}
	if out, err := inside(dir, "/usr/bin/barid", "sub", "-h", "127.0.0.1", "-p", port, "-t", "a", "-C", "1", "-W", "10").CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != "b" {
		t.Errorf("subscribing: %v %q", err, out)
	}
	if out, err := inside(dir, "/usr/bin/barid", "ctl", "status").CombinedOutput(); err != nil {
		t.Errorf("the health check: %v\n%s", err, out)
	}
	if err := start.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("the broker ended with %v\n%s", err, &log)
		}
	case <-time.After(patience):
		t.Errorf("the broker did not stop\n%s", &log)
	}
}

// inside is a command in the image's file system, as its user.
func inside(dir string, args ...string) *exec.Cmd {
	return &exec.Cmd{
		Path: args[0], Args: args, Dir: "/", Env: []string{"BARID_DATA_DIR=/var/lib/barid"},
		SysProcAttr: &syscall.SysProcAttr{Chroot: dir, Credential: &syscall.Credential{Uid: 65532, Gid: 65532}},
	}
}

// owned lists what the image's user may change.
func owned(t *testing.T, dir string) (paths []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err == nil && (info.Sys().(*syscall.Stat_t).Uid != 0 || info.Mode()&0o022 != 0) {
			paths = append(paths, strings.TrimPrefix(path, dir))
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
	return paths
}

func storageConf(t *testing.T, storage string) string {
	t.Helper()
	path := filepath.Join(storage, "storage.conf")
	text := "[storage]\ndriver = \"vfs\"\nrunroot = \"" + filepath.Join(storage, "run") + "\"\ngraphroot = \"" + filepath.Join(storage, "root") + "\"\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func output(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, &errs)
	}
	return string(out)
}

// await returns once somebody listens on a port of this machine.
func await(t *testing.T, port string, ended <-chan error, log *bytes.Buffer) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for ctx.Err() == nil {
		var d net.Dialer
		if c, err := d.DialContext(ctx, "tcp", "127.0.0.1:"+port); err == nil {
			_ = c.Close()
			return
		}
		select {
		case err := <-ended:
			t.Fatalf("it ended: %v\n%s", err, log)
		case <-ctx.Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
	t.Fatalf("nobody listens on %s", port)
}
