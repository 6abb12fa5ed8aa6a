package host

import "testing"

func TestWhatLinuxTellsIsRead(t *testing.T) {
	if got := parseLoad("0.50 1.25 2.00 3/420 9999\n"); got != [3]float64{0.5, 1.25, 2} {
		t.Errorf("load %v", got)
	}
	total, used := parseMemory("MemTotal:        1000 kB\nMemFree:          100 kB\nMemAvailable:     400 kB\n")
	if total != 1000<<10 || used != 600<<10 {
		t.Errorf("memory %d of %d", used, total)
	}
	busy, all := parseCPU("cpu  10 1 5 70 10 2 1 1 9 9\ncpu0 1 1 1 1\n")
	if busy != 20 || all != 100 {
		t.Errorf("processors %d of %d", busy, all)
	}
	for _, text := range []string{"", "cpu", "x y z"} { // what is not understood is no reason to fail
		parseLoad(text)
		parseMemory(text)
		parseCPU(text)
	}
}

func TestThisMachineHasMemoryAndProcessors(t *testing.T) {
	total, used := Memory()
	if used <= 0 || used >= total {
		t.Errorf("%d of %d bytes are used", used, total)
	}
	var c CPU
	if busy := c.Busy(); busy < 0 || busy > 1 {
		t.Errorf("the processors are busy for %v", busy)
	}
	if busy := c.Busy(); busy < 0 || busy > 1 {
		t.Errorf("the processors are busy for %v at the second look", busy)
	}
}
