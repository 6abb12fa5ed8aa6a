package cli

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/barid-mqtt/barid/internal/auth/password"
	"github.com/barid-mqtt/barid/internal/auth/scramauth"
	"github.com/barid-mqtt/barid/pkg/scram"
)

// passwordMaxBytes is how long an MQTT password can be.
const passwordMaxBytes = 65535

// missing is the value of a word that is not on the command line.
const missing = "\x00"

// passwdOptions are the flags of passwd, which are those of mosquitto_passwd.
type passwdOptions struct{ create, remove, batch, upgrade, scram bool }

// passwd changes a password file.
func passwd(e *env, c *command, args []string) int {
	var o passwdOptions
	flags := flag.NewFlagSet(c.name, flag.ContinueOnError)
	flags.BoolVar(&o.create, "c", false, "make the file anew, without any other user")
	flags.BoolVar(&o.remove, "D", false, "delete the user")
	flags.BoolVar(&o.batch, "b", false, "take the password from the command line, where other users of the machine may see it")
	flags.BoolVar(&o.upgrade, "U", false, "hash the passwords of a file that holds them in the clear; takes no USER")
	flags.BoolVar(&o.scram, "scram", false, "the file is that of auth.scram_file, for enhanced authentication")
	file, user, secret := "", missing, missing
	if status, done := e.parse(c, flags, args, &file, &user, &secret); done {
		return status
	}
	if (user == missing) != o.upgrade || (secret == missing) == o.batch {
		return e.wrongUsage(c, errors.New("it takes FILE and USER, with -b also PASSWORD, and with -U only FILE"))
	}
	if o.scram && o.upgrade {
		return e.wrongUsage(c, errors.New("-U is not for --scram: its files never hold passwords"))
	}
	if err := e.changePasswords(file, user, secret, o); err != nil {
		return e.fail(c, err)
	}
	return exitOK
}

func (e *env) changePasswords(file, user, secret string, o passwdOptions) error {
	text, err := os.ReadFile(file)
	switch {
	case o.create || errors.Is(err, fs.ErrNotExist) && !o.remove && !o.upgrade:
		text, err = nil, nil
	case err != nil:
		return err
	}
	switch {
	case o.upgrade:
		text, err = password.Upgrade(text)
	case o.remove && o.scram:
		text, err = scramauth.Remove(text, user)
	case o.remove:
		text, err = password.Remove(text, user)
	default:
		given := []byte(secret)
		if !o.batch {
			given, err = e.readPassword(user)
		}
		if err == nil {
			err = checkPassword(given)
		}
		if err != nil {
			return err
		}
		if o.scram {
			text, err = scramauth.Set(text, user, string(given), scram.DefaultIterations)
		} else {
			text, err = password.Set(text, user, password.New(given))
		}
	}
	if err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	return password.WriteFile(file, text)
}

func checkPassword(secret []byte) error {
	switch {
	case len(secret) == 0:
		return errors.New("the password is empty")
	case len(secret) > passwordMaxBytes:
		return fmt.Errorf("the password has %d bytes; MQTT allows %d", len(secret), passwordMaxBytes)
	}
	return nil
}

// readPassword asks for a password twice, without showing it, if somebody is there to ask, and takes the first line of
// standard input otherwise.
func (e *env) readPassword(user string) ([]byte, error) {
	terminal, ok := e.stdin.(*os.File)
	if !ok || !isTerminal(terminal) {
		return readLine(e.stdin)
	}
	fmt.Fprintf(e.stderr, "Password for %s: ", user)
	first, err := readHidden(terminal)
	if err != nil {
		return nil, err
	}
	fmt.Fprint(e.stderr, "\nAgain: ")
	second, err := readHidden(terminal)
	fmt.Fprintln(e.stderr)
	if err == nil && !bytes.Equal(first, second) {
		err = errors.New("the passwords differ; nothing was changed")
	}
	return first, err
}

// readLine reads up to the end of a line, and not a byte more: what follows may be for somebody else.
func readLine(r io.Reader) ([]byte, error) {
	var line []byte
	var b [1]byte
	for len(line) <= passwordMaxBytes+1 {
		n, err := r.Read(b[:])
		if n == 1 && b[0] == '\n' || errors.Is(err, io.EOF) {
			return bytes.TrimSuffix(line, []byte("\r")), nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading the password: %w", err)
		}
		line = append(line, b[:n]...)
	}
	return line, nil
}
