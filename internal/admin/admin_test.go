package admin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/barid-mqtt/barid/internal/storage/badger"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var discard = slog.New(slog.DiscardHandler)

// newDirectory makes a data directory that nobody has open.
func newDirectory(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	e, err := badger.Open(badger.Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// newServer serves a directory with a snapshot function of the test's.
func newServer(t *testing.T, dir string, snapshot Snapshot, stall time.Duration) *Server {
	t.Helper()
	s, err := listen(dir, snapshot, nil, discard, stall)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func closeServer(t *testing.T, s *Server) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Errorf("Close: %v", err)
	}
}

func TestABackupOfARunningBrokerIsWhatItWrites(t *testing.T) {
	dir := newDirectory(t)
	want := bytes.Repeat([]byte("barid"), 1<<18)
	s := newServer(t, dir, func(_ context.Context, w io.Writer) error {
		_, err := io.Copy(w, bytes.NewReader(want))
		return err
	}, stallLimit)
	info, err := os.Stat(filepath.Join(dir, SocketName))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the socket: %v, %v; want mode 0600", info, err)
	}
	for range 2 {
		var got bytes.Buffer
		if err := Backup(t.Context(), dir, &got, discard); err != nil || !bytes.Equal(got.Bytes(), want) {
			t.Errorf("%d bytes, %v; want %d", got.Len(), err, len(want))
		}
	}
	closeServer(t, s)
	if _, err := os.Stat(filepath.Join(dir, SocketName)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the socket after Close: %v", err)
	}
}

func TestABackupThatBreaksOffIsAnError(t *testing.T) {
	broken := errors.New("the disk broke")
	for _, tt := range []struct {
		name    string
		written int
		want    string
	}{{"before its first byte", 0, "the broker answered: the disk broke"}, {"in the middle", 1 << 20, "the broker broke off"}} {
		t.Run(tt.name, func(t *testing.T) {
			dir := newDirectory(t)
			s := newServer(t, dir, func(_ context.Context, w io.Writer) error {
				_, err := w.Write(make([]byte, tt.written))
				return errors.Join(err, broken)
			}, stallLimit)
			defer closeServer(t, s)
			if err := Backup(t.Context(), dir, io.Discard, discard); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestWhatEndsABackupUnderWay(t *testing.T) {
	t.Run("its client", func(t *testing.T) {
		dir := newDirectory(t)
		ctx, cancel := context.WithCancel(t.Context())
		s := newServer(t, dir, func(ctx context.Context, w io.Writer) error {
			cancel()
			<-ctx.Done()
			return ctx.Err()
		}, stallLimit)
		if err := Backup(ctx, dir, io.Discard, discard); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		closeServer(t, s)
	})
	t.Run("the broker's end", func(t *testing.T) {
		dir := newDirectory(t)
		began := make(chan struct{})
		s := newServer(t, dir, func(ctx context.Context, _ io.Writer) error {
			close(began)
			<-ctx.Done()
			return ctx.Err()
		}, stallLimit)
		ended := make(chan error)
		go func() { ended <- Backup(t.Context(), dir, io.Discard, discard) }()
		<-began
		closeServer(t, s)
		if err := <-ended; err == nil {
			t.Error("no error")
		}
	})
	t.Run("a client that takes nothing", func(t *testing.T) {
		dir := newDirectory(t)
		ended := make(chan error)
		s := newServer(t, dir, func(_ context.Context, w io.Writer) error {
			var err error
			for err == nil {
				_, err = w.Write(make([]byte, 64<<10))
			}
			ended <- err
			return err
		}, 50*time.Millisecond)
		defer closeServer(t, s)
		conn, err := net.Dial("unix", filepath.Join(dir, SocketName))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprint(conn, "POST /backup HTTP/1.1\r\nHost: barid\r\n\r\n")
		if err := <-ended; !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

func TestOneBackupAtATime(t *testing.T) {
	dir := newDirectory(t)
	began, goOn := make(chan struct{}), make(chan struct{})
	s := newServer(t, dir, func(context.Context, io.Writer) error {
		close(began)
		<-goOn
		return nil
	}, stallLimit)
	defer closeServer(t, s)
	ended := make(chan error)
	go func() { ended <- Backup(t.Context(), dir, io.Discard, discard) }()
	<-began
	if err := Backup(t.Context(), dir, io.Discard, discard); err == nil || !strings.Contains(err.Error(), "another backup is under way") {
		t.Errorf("the second: %v", err)
	}
	close(goOn)
	if err := <-ended; err != nil {
		t.Errorf("the first: %v", err)
	}
}

func TestTheSocketOfABrokerThatIsGone(t *testing.T) {
	dir := newDirectory(t)
	path := filepath.Join(dir, SocketName)
	stale, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	stale.SetUnlinkOnClose(false)
	if err := stale.Close(); err != nil {
		t.Fatal(err)
	}
	if err := Backup(t.Context(), dir, io.Discard, discard); err != nil {
		t.Errorf("a backup of the stopped broker: %v", err)
	}
	closeServer(t, newServer(t, dir, nil, stallLimit))
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := listen(dir, nil, nil, discard, stallLimit); err == nil {
		t.Error("a file that is no socket was replaced")
		closeServer(t, s)
	}
}

func TestBackupSaysWhyNot(t *testing.T) {
	held := newDirectory(t)
	e, err := badger.Open(badger.Options{Dir: held})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	empty := t.TempDir()
	for _, tt := range []struct{ name, dir, want string }{
		{"missing", filepath.Join(empty, "none"), "no data"},
		{"empty", empty, "no data"},
		{"in use, without a socket", held, "does not answer"},
	} {
		if err := Backup(t.Context(), tt.dir, io.Discard, discard); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.want)
		}
	}
	if left := entries(t, empty); len(left) > 0 {
		t.Errorf("a backup of an empty directory left %q in it", left)
	}
}

// backupOf returns a backup of an empty data directory.
func backupOf(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Backup(t.Context(), newDirectory(t), &b, discard); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func entries(t *testing.T, dir string) (names []string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}

func TestRestoreIntoWhatIsMissingOrEmpty(t *testing.T) {
	good := backupOf(t)
	for _, tt := range []struct {
		name    string
		prepare func(dir string) error
	}{
		{"missing, and its parent too", func(string) error { return nil }},
		{"empty", func(dir string) error { return os.MkdirAll(dir, 0o750) }},
		{"the root of a file system", func(dir string) error { return os.MkdirAll(filepath.Join(dir, lostFound), 0o700) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "parent", "data")
			if err := tt.prepare(dir); err != nil {
				t.Fatal(err)
			}
			if err := Restore(t.Context(), dir, bytes.NewReader(good[:len(good)-1]), discard); !errors.Is(err, badger.ErrSnapshot) {
				t.Fatalf("of a part: %v", err)
			}
			if _, err := os.Stat(dir); err == nil {
				if left := slices.DeleteFunc(entries(t, dir), belongs); len(left) > 0 {
					t.Errorf("a failed restore left %q", left)
				}
			}
			if err := Restore(t.Context(), dir, bytes.NewReader(good), discard); err != nil {
				t.Fatal(err)
			}
			if left := entries(t, filepath.Dir(dir)); !slices.Equal(left, []string{"data"}) {
				t.Errorf("beside the directory: %q", left)
			}
			if err := Restore(t.Context(), dir, bytes.NewReader(good), discard); !errors.Is(err, ErrNotEmpty) {
				t.Errorf("a second restore: %v", err)
			}
			e, err := badger.Open(badger.Options{Dir: dir})
			if err != nil {
				t.Fatal(err)
			}
			if err := Restore(t.Context(), dir, bytes.NewReader(good), discard); !errors.Is(err, ErrRunning) {
				t.Errorf("under a running broker: %v", err)
			}
			if err := e.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestRestoreTouchesNothingThatIsNotItsOwn(t *testing.T) {
	parent := t.TempDir()
	dir := filepath.Join(parent, "data")
	other := dir + unfinished
	if err := os.Mkdir(other, 0o700); err != nil {
		t.Fatal(err)
	}
	good := backupOf(t)
	if err := Restore(t.Context(), dir, bytes.NewReader(good), discard); err == nil || !strings.Contains(err.Error(), other) {
		t.Errorf("beside another restore: %v", err)
	}
	if left := entries(t, parent); !slices.Equal(left, []string{"data" + unfinished}) {
		t.Errorf("it left %q", left)
	}
	if err := os.Remove(other); err != nil {
		t.Fatal(err)
	}
	meanwhile := &whenRead{Reader: bytes.NewReader(good), then: func() { _ = os.Mkdir(dir, 0o700) }}
	if err := Restore(t.Context(), dir, meanwhile, discard); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over a directory that was made meanwhile: %v", err)
	}
	if left := entries(t, parent); !slices.Equal(left, []string{"data"}) {
		t.Errorf("it left %q", left)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Restore(ctx, dir, bytes.NewReader(good), discard); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
}

// whenRead calls then at the first read.
type whenRead struct {
	io.Reader
	then func()
}

func (w *whenRead) Read(p []byte) (int, error) {
	w.then()
	return w.Reader.Read(p)
}
