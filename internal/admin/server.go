package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// stallLimit is how long a client may take none of its backup: meanwhile the log on disk is not cut.
const stallLimit = time.Minute

// Snapshot writes a consistent copy of all that is kept.
type Snapshot func(ctx context.Context, w io.Writer) error

// Server serves a broker's data directory to the commands of an administrator.
type Server struct {
	// Static after construction.
	snapshot   Snapshot
	log        *slog.Logger
	stallLimit time.Duration
	http       http.Server
	ctx        context.Context
	cancel     context.CancelFunc

	busy    sync.Mutex // held by the backup that is under way, and for good by Close
	serving sync.WaitGroup
}

// Listen opens the socket in a data directory, which the caller has locked, and serves it until Close. What is no
// backup goes to other, if that is not nil.
func Listen(dir string, snapshot Snapshot, other http.Handler, log *slog.Logger) (*Server, error) {
	return listen(dir, snapshot, other, log, stallLimit)
}

func listen(dir string, snapshot Snapshot, other http.Handler, log *slog.Logger, stall time.Duration) (*Server, error) {
	ln, err := openSocket(filepath.Join(dir, SocketName))
	if err != nil {
		return nil, fmt.Errorf("opening the socket for backups: %w", err)
	}
	s := &Server{snapshot: snapshot, log: log, stallLimit: stall}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	mux := http.NewServeMux()
	mux.HandleFunc("POST /backup", s.backup)
	if other != nil {
		mux.Handle("/", other)
	}
	s.http = http.Server{
		Handler: mux, ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 8 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	s.http.SetKeepAlivesEnabled(false)
	s.serving.Go(func() {
		if err := s.http.Serve(ln); !errors.Is(err, http.ErrServerClosed) {
			log.Error("no backups any more", "error", err)
		}
	})
	return s, nil
}

// openSocket opens a Unix socket that only this user may connect to.
func openSocket(path string) (net.Listener, error) {
	switch info, err := os.Lstat(path); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	case info.Mode()&fs.ModeSocket == 0:
		return nil, fmt.Errorf("%s is there and is not a socket", path)
	default: // of a broker that is gone: the directory's lock is the caller's
		if err := os.Remove(path); err != nil {
			return nil, err
		}
	}
	config := net.ListenConfig{Control: private}
	ln, err := config.Listen(context.Background(), "unix", path)
	if errors.Is(err, syscall.EINVAL) {
		return nil, fmt.Errorf("%w (the path is too long for a socket: about 100 bytes are possible)", err)
	}
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	return ln, nil
}

// backup answers POST /backup.
func (s *Server) backup(w http.ResponseWriter, r *http.Request) {
	if !s.busy.TryLock() {
		http.Error(w, "another backup is under way", http.StatusConflict)
		return
	}
	defer s.busy.Unlock()
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(s.ctx, cancel)()
	w.Header().Set("Content-Type", "application/octet-stream")
	body := &response{w: w, control: http.NewResponseController(w), limit: s.stallLimit}
	started := time.Now()
	err := s.snapshot(ctx, body)
	if err == nil {
		s.log.Info("backup made", "bytes", body.bytes, "took", time.Since(started))
		return
	}
	s.log.Warn("backup broken off", "bytes", body.bytes, "error", err)
	if body.bytes > 0 {
		panic(http.ErrAbortHandler) // the only way to tell the client that it has not got all
	}
	http.Error(w, err.Error(), http.StatusInternalServerError)
}

// response is a body whose client must go on taking it.
type response struct {
	w       io.Writer
	control *http.ResponseController
	limit   time.Duration
	bytes   int64
}

func (b *response) Write(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil // it would be answered 200 already
	}
	if err := b.control.SetWriteDeadline(time.Now().Add(b.limit)); err != nil {
		return 0, err
	}
	n, err := b.w.Write(p)
	b.bytes += int64(n)
	return n, err
}

// Close breaks off what is under way and removes the socket. When it returns, the snapshot function is not used any more.
// Call it once.
func (s *Server) Close() error {
	s.cancel()
	err := s.http.Close()
	s.serving.Wait()
	s.busy.Lock()
	return err
}
