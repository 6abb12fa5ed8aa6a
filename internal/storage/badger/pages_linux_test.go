package badger

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"testing"
)

// residentOf is how much of the mappings of a file is in the process's memory.
func residentOf(t *testing.T, path string) (bytes int64) {
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ours := false
	for in := bufio.NewScanner(f); in.Scan(); {
		line := in.Text()
		switch size, ok := strings.CutPrefix(line, "Rss:"); {
		case strings.HasSuffix(line, path):
			ours = true
		case ok && ours:
			kb, err := strconv.ParseInt(strings.Fields(size)[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			bytes, ours = bytes+kb<<10, false
		}
	}
	return bytes
}
