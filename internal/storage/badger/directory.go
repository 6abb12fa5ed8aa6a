package badger

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/barid-mqtt/barid/pkg/vfs"
)

// DirectoryVersion is the version of data directories that this program writes.
const DirectoryVersion = 1

// What is in a data directory.
const (
	versionName = "VERSION" // "barid data 1\n"; written last when a snapshot is restored
	lockName    = "LOCK"    // locked while the engine is open
	logName     = "log"     // pkg/wal
	stateName   = "state"   // Badger

	versionPrefix = "barid data "
)

// ErrInUse says that another process, or another engine in this one, has the data directory open.
var ErrInUse = errors.New("the data directory is in use by another process")

// VersionError says that a data directory was written by a newer program.
type VersionError struct {
	Dir     string
	Version int // the version that the reader must know
}

// Error implements error.
func (e *VersionError) Error() string {
	return fmt.Sprintf("the data directory %s has version %d; this program knows versions up to %d", e.Dir, e.Version, DirectoryVersion)
}

// IsDirectory reports whether a directory is a data directory, of whatever version, and leaves it as it is.
func IsDirectory(path string) (bool, error) {
	d := directory{fs: vfs.OS(), path: path}
	return d.exists(versionName)
}

// directory is a locked data directory.
type directory struct {
	fs   vfs.FS
	path string
	lock io.Closer
}

func lockDirectory(fsys vfs.FS, path string) (*directory, error) {
	if err := fsys.MkdirAll(path); err != nil {
		hint := ""
		if errors.Is(err, fs.ErrPermission) {
			hint = "; make it for the broker's user, or choose another place"
		}
		return nil, fmt.Errorf("storage: make the data directory: %w%s", err, hint)
	}
	lock, err := fsys.Lock(filepath.Join(path, lockName))
	if errors.Is(err, vfs.ErrLocked) {
		return nil, fmt.Errorf("storage: open %s: %w", path, ErrInUse)
	}
	if err != nil {
		return nil, fmt.Errorf("storage: lock the data directory: %w", err)
	}
	return &directory{fs: fsys, path: path, lock: lock}, nil
}

func (d *directory) name(entry string) string { return filepath.Join(d.path, entry) }

func (d *directory) exists(entry string) (bool, error) {
	_, err := d.fs.Stat(d.name(entry))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// prepare checks the directory's version, or makes an empty directory one of this version.
func (d *directory) prepare() error {
	found, err := d.exists(versionName)
	if err != nil {
		return fmt.Errorf("storage: look into the data directory: %w", err)
	}
	if found {
		return d.checkVersion()
	}
	if err := d.mustBeEmpty(); err != nil {
		return err
	}
	return d.writeVersion()
}

func (d *directory) checkVersion() error {
	text, err := vfs.ReadFile(d.fs, d.name(versionName))
	if err != nil {
		return fmt.Errorf("storage: read the data directory's version: %w", err)
	}
	number, ok := strings.CutPrefix(strings.TrimSpace(string(text)), versionPrefix)
	version, err := strconv.Atoi(number)
	if !ok || err != nil || version < 1 {
		return fmt.Errorf("storage: %s does not say %q and a number", d.name(versionName), versionPrefix)
	}
	if version > DirectoryVersion {
		return fmt.Errorf("storage: %w", &VersionError{Dir: d.path, Version: version})
	}
	return nil // older versions are brought up to date here, once there are any
}

// mustBeEmpty refuses a directory that has data but no version: a restore that did not come to its end.
func (d *directory) mustBeEmpty() error {
	for _, entry := range []string{logName, stateName} {
		found, err := d.exists(entry)
		if err != nil {
			return fmt.Errorf("storage: look into the data directory: %w", err)
		}
		if found {
			return fmt.Errorf("storage: %s has data and no %s file: it was restored in part; empty it and restore again", d.path, versionName)
		}
	}
	return nil
}

func (d *directory) writeVersion() error {
	text := versionPrefix + strconv.Itoa(DirectoryVersion) + "\n"
	if err := vfs.WriteFile(d.fs, d.name(versionName), []byte(text)); err != nil {
		return fmt.Errorf("storage: write the data directory's version: %w", err)
	}
	return nil
}

func (d *directory) unlock() error { return d.lock.Close() }
