package badger

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// mappedBytes is how much of mapped files is in the process's memory.
func mappedBytes() int64 {
	statm, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(statm))
	if len(fields) < 3 {
		return 0
	}
	pages, err := strconv.ParseInt(fields[2], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

// eachMapping calls fn for the process's mappings of tables.
func eachMapping(fn func(address, size uintptr, path string)) {
	f, err := os.Open("/proc/self/maps")
	if err != nil {
		return
	}
	defer f.Close()
	for in := bufio.NewScanner(f); in.Scan(); { // 7f1c0e600000-7f1c0e700000 rw-s 00000000 fe:00 1234  /data/state/000001.sst
		line := in.Text()
		at := strings.IndexByte(line, '/')
		if at < 0 || !strings.HasSuffix(line, ".sst") {
			continue
		}
		from, rest, _ := strings.Cut(line, "-")
		to, _, _ := strings.Cut(rest, " ")
		begin, err1 := strconv.ParseUint(from, 16, strconv.IntSize)
		end, err2 := strconv.ParseUint(to, 16, strconv.IntSize)
		if err1 == nil && err2 == nil && begin < end {
			fn(uintptr(begin), uintptr(end-begin), line[at:])
		}
	}
}

// forgetPages gives back the pages of a mapping of a file. What was written there is the file's.
func forgetPages(address, size uintptr) {
	_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, address, size, syscall.MADV_DONTNEED) // it is the kernel's to refuse
}
