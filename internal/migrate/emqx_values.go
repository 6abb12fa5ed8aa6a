package migrate

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// hoconDuration reads 15s, 2h, 1d12h, 100ms or a number of milliseconds.
func hoconDuration(value string) (time.Duration, error) {
	if n, err := strconv.ParseInt(value, 10, 64); err == nil && n >= 0 && n < 1<<40 {
		return time.Duration(n) * time.Millisecond, nil
	}
	rest, days := value, int64(0)
	for _, unit := range []struct {
		name   string
		length int64
	}{{"w", 7}, {"d", 1}} {
		head, tail, ok := strings.Cut(rest, unit.name)
		if !ok {
			continue
		}
		n, err := strconv.ParseInt(head, 10, 16)
		if err != nil || n < 0 {
			return 0, fmt.Errorf("%q is no time such as 15s", value)
		}
		days, rest = days+n*unit.length, tail
	}
	d := time.Duration(days) * 24 * time.Hour
	if rest != "" {
		more, err := time.ParseDuration(rest)
		if err != nil || more < 0 {
			return 0, fmt.Errorf("%q is no time such as 15s", value)
		}
		d += more
	}
	return d, nil
}

// hoconBytes reads 1MB, 64KB, 1048576 or infinity, which is 0 here.
func hoconBytes(value string) (int64, error) {
	text, factor := strings.ToUpper(strings.TrimSpace(value)), int64(1)
	if text == "INFINITY" {
		return 0, nil
	}
	for unit, n := range map[string]int64{"KB": 1 << 10, "MB": 1 << 20, "GB": 1 << 30} {
		if head, ok := strings.CutSuffix(text, unit); ok {
			text, factor = head, n
		}
	}
	n, err := strconv.ParseInt(strings.TrimSuffix(text, "B"), 10, 32)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%q is no size such as 1MB", value)
	}
	return n * factor, nil
}

// limitOf sets a number; infinity is 0 here.
func limitOf(to map[string]any, path, value string) (Verdict, string) {
	if value == "infinity" {
		value = "0"
	}
	n, err := number(value)
	if err != nil {
		return Unsupported, err.Error()
	}
	set(to, path, n)
	return Taken, path
}

// rateOf sets a rate a second: 1000, 1000/s, 5000/5s or infinity.
func rateOf(to map[string]any, path, value string) (Verdict, string) {
	count, per, ok := strings.Cut(value, "/")
	if value == "infinity" {
		return limitOf(to, path, value)
	}
	n, err := strconv.ParseInt(count, 10, 32)
	seconds := 1.0
	if ok && err == nil && per != "s" {
		var d time.Duration
		d, err = hoconDuration(per)
		seconds = d.Seconds()
	}
	if err != nil || n < 0 || seconds <= 0 {
		return Unsupported, fmt.Sprintf("%q is no rate such as 1000/s", value)
	}
	set(to, path, max(1, int64(float64(n)/seconds)))
	return Taken, path
}
