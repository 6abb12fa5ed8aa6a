package password

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// ErrNoUser says that a user is not in the file.
var ErrNoUser = errors.New("no such user")

// Set returns the text of a password file with a user added or changed. All other lines stay as they are.
func Set(text []byte, user string, h Hash) ([]byte, error) {
	if err := checkUser(user); err != nil {
		return nil, err
	}
	all, found := edit(text, user, user+":"+h.String())
	if !found {
		all = append(all, user+":"+h.String())
	}
	return join(all), nil
}

// Remove returns the text of a password file without a user, or ErrNoUser.
func Remove(text []byte, user string) ([]byte, error) {
	all, found := edit(text, user, "")
	if !found {
		return nil, fmt.Errorf("%w: %q", ErrNoUser, user)
	}
	return join(all), nil
}

// edit replaces the first line of a user, and drops it if there is nothing to replace it with, and any further ones.
func edit(text []byte, user, line string) (all []string, found bool) {
	if len(text) == 0 {
		return nil, false
	}
	for _, old := range lines(text) {
		name, _, _ := strings.Cut(old, ":")
		switch {
		case !meansUser(old) || name != user:
			all = append(all, old)
		case !found && line != "":
			all = append(all, line)
		}
		found = found || meansUser(old) && name == user
	}
	return all, found
}

// Upgrade returns the text of a password file with the passwords hashed that it holds in the clear: user:password.
func Upgrade(text []byte) ([]byte, error) {
	all := lines(text)
	var errs []error
	for i, line := range all {
		user, secret, ok := strings.Cut(line, ":")
		if !meansUser(line) || ok && strings.HasPrefix(secret, "$") {
			continue
		}
		err := checkUser(user)
		if !ok || secret == "" {
			err = errors.New("no password after the username")
		}
		if err != nil {
			errs = append(errs, &LineError{Line: i + 1, Problem: err})
			continue
		}
		all[i] = user + ":" + New([]byte(secret)).String()
	}
	return join(all), errors.Join(errs...)
}

func join(all []string) []byte {
	if len(all) == 0 {
		return nil
	}
	text := strings.Join(all, "\n") + "\n"
	if strings.HasPrefix(text, byteOrderMark) { // the first user's: the one before it is what is not read
		text = byteOrderMark + text
	}
	return []byte(text)
}

// WriteFile replaces a file in one step: who reads it meanwhile, or after a crash, finds the old text or the new. A new
// file is for its owner only; an old one keeps its mode, and if it is a symbolic link, the file that it leads to is
// replaced.
func WriteFile(name string, text []byte) error {
	if target, err := filepath.EvalSymlinks(name); err == nil {
		name = target
	}
	mode := fs.FileMode(0o600)
	if info, err := os.Stat(name); err == nil {
		mode = info.Mode().Perm()
	}
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".new*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // gone already, unless something failed
	keepOwner(f, name)
	_, err = f.Write(text)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err != nil {
		return fmt.Errorf("writing %s: %w", f.Name(), err)
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return err
	}
	return syncDir(filepath.Dir(name))
}

// syncDir makes the renaming outlast a power cut.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
