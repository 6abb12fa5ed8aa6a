package badger

import (
	"errors"
	"strconv"
	"testing"
)

func TestOnlyABuildFor64BitsKeepsData(t *testing.T) {
	var want error
	if strconv.IntSize < 64 {
		want = ErrWordSize
	}
	e, err := Open(Options{Dir: t.TempDir()})
	if !errors.Is(err, want) || (err == nil) != (want == nil) {
		t.Fatalf("%d bits: %v", strconv.IntSize, err)
	}
	if err == nil {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	}
}
