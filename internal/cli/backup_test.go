package cli

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/barid-mqtt/barid/internal/broker"
	"github.com/barid-mqtt/barid/internal/config"
)

// emptyDataDirectory makes a data directory that nobody has open.
func emptyDataDirectory(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	cfg, _, err := config.Load(config.Sources{Sets: []string{"data_dir=" + dir}})
	if err != nil {
		t.Fatal(err)
	}
	b, err := broker.New(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestBackupAndRestore(t *testing.T) {
	dir := emptyDataDirectory(t)
	file := filepath.Join(t.TempDir(), "backup")
	if err := os.WriteFile(file+".tmp", []byte("of one that was killed"), 0o666); err != nil {
		t.Fatal(err)
	}
	for range 2 { // the second replaces the first
		status, stdout, stderr := barid(t, "", "backup", file, "--set", "data_dir="+dir)
		if status != 0 || !strings.HasPrefix(stdout, file+": a backup of "+dir) || stderr != "" {
			t.Fatalf("backup: status %d, printed %q and %q", status, stdout, stderr)
		}
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, %v; want mode 0600", info, err)
	}
	if _, err := os.Stat(file + ".tmp"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("beside the file: %v", err)
	}
	status, streamed, stderr := barid(t, "", "backup", "--set", "data_dir="+dir, "-")
	if status != 0 || stderr != "" {
		t.Errorf("backup to standard output: status %d, printed %q", status, stderr)
	}
	for _, tt := range []struct{ name, file, stdin string }{{"of a file", file, ""}, {"of standard input", "-", streamed}} {
		to := filepath.Join(t.TempDir(), "new")
		status, stdout, stderr := barid(t, tt.stdin, "restore", "--set", "data_dir="+to, tt.file)
		if status != 0 || stdout != to+": restored from "+tt.file+"\n" || stderr != "" {
			t.Errorf("restore %s: status %d, printed %q and %q", tt.name, status, stdout, stderr)
		}
		var again bytes.Buffer
		if status := Main(t.Context(), []string{"backup", "-", "--set", "data_dir=" + to}, nil, &again, io.Discard, nil); status != 0 || again.Len() == 0 {
			t.Errorf("a backup of what was restored: status %d, %d bytes", status, again.Len())
		}
	}
}

func TestBackupAndRestoreSayWhatIsWrong(t *testing.T) {
	dir := emptyDataDirectory(t)
	scratch := t.TempDir()
	in := "data_dir=" + dir
	for _, tt := range []struct {
		args   []string
		status int
		want   string
	}{
		{[]string{"backup"}, 2, "FILE is missing"},
		{[]string{"restore", "a", "b"}, 2, `unexpected argument "b"`},
		{[]string{"backup", "a", "--set", "durability=memory"}, 1, "durability is memory"},
		{[]string{"backup", "a", "--set", "mqtt.max_qos=3"}, 1, "mqtt.max_qos"},
		{[]string{"backup", scratch, "--set", in}, 1, "is there and is not a file"},
		{[]string{"backup", os.DevNull, "--set", in}, 1, "is there and is not a file"},
		{[]string{"backup", filepath.Join(scratch, "none", "a"), "--set", in}, 1, "no such file"},
		{[]string{"backup", filepath.Join(scratch, "a"), "--set", "data_dir=" + scratch}, 1, "there is no data in it"},
		{[]string{"restore", filepath.Join(scratch, "none")}, 1, "no such file"},
		{[]string{"restore", "-", "--set", in}, 1, "it is not empty"},
		{[]string{"restore", "-", "--set", "data_dir=" + filepath.Join(scratch, "new")}, 1, "this is not a backup"},
	} {
		status, stdout, stderr := barid(t, "something else", tt.args...)
		if status != tt.status || stdout != "" || !strings.Contains(stderr, tt.want) || strings.Count(stderr, "\n") != 1 {
			t.Errorf("barid %q: status %d, printed %q and %q; want %d and one line with %q", tt.args, status, stdout, stderr, tt.status, tt.want)
		}
	}
	if left, err := os.ReadDir(scratch); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
