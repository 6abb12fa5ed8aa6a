package host

import (
	"os"
	"strconv"
	"strings"
)

func readLoad() (load [3]float64) {
	text, _ := os.ReadFile("/proc/loadavg")
	return parseLoad(string(text))
}

func parseLoad(text string) (load [3]float64) {
	fields := strings.Fields(text)
	for i := range min(len(load), len(fields)) {
		load[i], _ = strconv.ParseFloat(fields[i], 64)
	}
	return load
}

func readMemory() (total, used int64) {
	text, _ := os.ReadFile("/proc/meminfo")
	return parseMemory(string(text))
}

func parseMemory(text string) (total, used int64) {
	var available int64
	for line := range strings.Lines(text) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		n, _ := strconv.ParseInt(fields[1], 10, 64)
		switch fields[0] {
		case "MemTotal:":
			total = n << 10
		case "MemAvailable:":
			available = n << 10
		}
	}
	return total, max(0, total-available)
}

func readCPU() (busy, total uint64) {
	text, _ := os.ReadFile("/proc/stat")
	return parseCPU(string(text))
}

// parseCPU adds up the times of the first line; waiting and idle are the fourth and fifth. The last two are in the first
// two already.
func parseCPU(text string) (busy, total uint64) {
	line, _, _ := strings.Cut(text, "\n")
	for i, field := range strings.Fields(strings.TrimPrefix(line, "cpu")) {
		n, err := strconv.ParseUint(field, 10, 64)
		if err != nil || i > 7 {
			break
		}
		total += n
		if i != 3 && i != 4 {
			busy += n
		}
	}
	return busy, total
}
