package admin

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"

	"github.com/barid-mqtt/barid/internal/storage/badger"
)

// Backup writes a backup of a data directory: all that was acknowledged before the call, as of one moment. A broker that
// serves the directory makes it and goes on meanwhile; if none does, the directory is opened for it. Only a backup for
// which Backup returned nil is whole.
func Backup(ctx context.Context, dir string, w io.Writer, log *slog.Logger) error {
	err := backup(ctx, dir, w, log)
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("the data directory %s: %w", dir, err)
	}
	return nil
}

func backup(ctx context.Context, dir string, w io.Writer, log *slog.Logger) error {
	found, err := badger.IsDirectory(dir)
	if err != nil {
		return err
	}
	if !found {
		return ErrNoData
	}
	conn, err := new(net.Dialer).DialContext(ctx, "unix", filepath.Join(dir, SocketName))
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("the broker does not know this user: %w; run this as the user that it runs as", err)
	}
	if err == nil {
		return fromBroker(ctx, conn, w)
	}
	return fromDirectory(ctx, dir, w, log) // whose lock says whether somebody has it
}

// fromBroker asks a broker for a backup.
func fromBroker(ctx context.Context, conn net.Conn, w io.Writer) error {
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://barid/backup", http.NoBody)
	if err != nil {
		return err
	}
	if err := request.Write(conn); err != nil {
		return fmt.Errorf("asking the broker: %w", err)
	}
	response, err := http.ReadResponse(bufio.NewReaderSize(conn, 64<<10), request)
	if err != nil {
		return fmt.Errorf("asking the broker: it broke off: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(response.Body, 4<<10))
		return fmt.Errorf("the broker answered: %s", strings.TrimSpace(string(text)))
	}
	_, err = io.Copy(w, response.Body)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("the broker broke off: it stopped, or its log says why (%w)", err)
	}
	return err
}

// fromDirectory makes a backup of a directory that nobody has open.
func fromDirectory(ctx context.Context, dir string, w io.Writer, log *slog.Logger) error {
	if err := checkOwner(dir); err != nil {
		return err
	}
	engine, err := badger.Open(badger.Options{Dir: dir, Logger: log})
	if errors.Is(err, badger.ErrInUse) {
		return fmt.Errorf("a broker has it and does not answer on %s: it is about to start or to stop, try again", filepath.Join(dir, SocketName))
	}
	if err != nil {
		return err
	}
	return errors.Join(engine.Snapshot(ctx, w), engine.Close())
}
