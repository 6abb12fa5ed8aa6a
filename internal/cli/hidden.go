package cli

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/term"
)

func isTerminal(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }

// readHidden reads a line from a terminal that does not show it. An interrupt leaves the terminal as it was.
func readHidden(f *os.File) ([]byte, error) {
	before, err := term.GetState(int(f.Fd()))
	if err != nil {
		return nil, fmt.Errorf("asking for the password: %w", err)
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(stop)
	type result struct {
		line []byte
		err  error
	}
	read := make(chan result, 1)
	go func() { // ends with the line, or with the program
		line, err := term.ReadPassword(int(f.Fd()))
		read <- result{line, err}
	}()
	select {
	case r := <-read:
		return r.line, r.err
	case <-stop:
		_ = term.Restore(int(f.Fd()), before) // nothing else can be done about it
		return nil, errors.New("interrupted; nothing was changed")
	}
}
