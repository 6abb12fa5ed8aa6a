// Package admin is what the commands of an administrator do with a data directory: make a backup of it, whether a broker
// serves it or not, and make one from a backup.
//
// A broker serves its directory through a Unix socket in it, which only its own user may open. It speaks HTTP:
//
//	POST /backup   200 and the backup as the body; a body that breaks off is no backup
//
// A broker that is gone may leave the socket behind. The lock of the directory says whether one is there.
package admin

import "errors"

// SocketName is the name of the socket in the data directory.
const SocketName = "barid.sock"

// Errors that tell an administrator what to do. Match them with errors.Is.
var (
	// ErrNoData says that a directory is no data directory, so that there is nothing to back up.
	ErrNoData = errors.New("there is no data in it")
	// ErrNotEmpty says that a directory to restore into has something in it.
	ErrNotEmpty = errors.New("it is not empty; move it away, or restore into another one with --set data_dir=DIR")
	// ErrRunning says that a broker runs on a directory to restore into.
	ErrRunning = errors.New("a broker runs on it; stop it first, or restore into another one with --set data_dir=DIR")
)
