package broker

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if sets, ok := os.LookupEnv(processSets); ok {
		if err := serveProcess(sets); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if address, ok := os.LookupEnv(bareAddress); ok {
		fmt.Fprintln(os.Stderr, serveBare(address))
		os.Exit(1)
	}
	goleak.VerifyTestMain(m)
}
