// Package proc reads what a process uses: processor time, memory and descriptors.
package proc

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"
)

// Usage is what a process has used and holds.
type Usage struct {
	CPU      time.Duration // user and system time since it started
	RSSBytes int64         // resident memory
	FDs      int           // open descriptors; -1: not to be seen, as those of another user
}

// ticksPerSecond is the unit of times in /proc, which Linux fixes for programs at 100.
const ticksPerSecond = 100

// Read returns what process pid uses. It needs Linux's /proc.
func Read(pid int) (Usage, error) {
	dir := "/proc/" + strconv.Itoa(pid)
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return Usage{}, fmt.Errorf("reading what process %d uses: %w", pid, err)
	}
	u, err := parseStat(stat)
	if err != nil {
		return Usage{}, fmt.Errorf("reading what process %d uses: %w", pid, err)
	}
	if exact, ok := cpuTime(pid); ok {
		u.CPU = exact
	}
	u.FDs = -1
	if names, err := os.ReadDir(dir + "/fd"); err == nil {
		u.FDs = len(names)
	}
	return u, nil
}

var errStat = errors.New("/proc/PID/stat has another form than expected")

// parseStat reads the line of /proc/PID/stat. The second field is the program's name in parentheses, which may hold
// anything, so fields are counted from the last parenthesis on.
func parseStat(b []byte) (Usage, error) {
	end := bytes.LastIndexByte(b, ')')
	if end < 0 {
		return Usage{}, errStat
	}
	fields := bytes.Fields(b[end+1:]) // the first of these is field 3 of proc(5)
	const utime, stime, rss = 14 - 3, 15 - 3, 24 - 3
	if len(fields) <= rss {
		return Usage{}, errStat
	}
	var n [3]int64
	for i, at := range []int{utime, stime, rss} {
		v, err := strconv.ParseInt(string(fields[at]), 10, 64)
		if err != nil {
			return Usage{}, errStat
		}
		n[i] = v
	}
	return Usage{
		CPU:      time.Duration(n[0]+n[1]) * time.Second / ticksPerSecond,
		RSSBytes: n[2] * int64(os.Getpagesize()),
	}, nil
}
