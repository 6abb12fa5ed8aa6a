// Package host tells how the machine is doing, as far as its operating system says so; zeros where it does not.
package host

import "sync"

// Load are the averages of processes that run or wait to, over 1, 5 and 15 minutes.
func Load() [3]float64 { return readLoad() }

// Memory returns the machine's memory, and how much of it is in use: what a new process could not have.
func Memory() (total, used int64) { return readMemory() }

// CPU works out how busy the processors were between two looks. The zero CPU is ready; its first look tells of the time
// since the machine started.
type CPU struct {
	mu          sync.Mutex
	busy, total uint64
	last        float64
}

// Busy returns the share of the processors' time that was used since the last look, from 0 to 1.
func (c *CPU) Busy() float64 {
	busy, total := readCPU()
	c.mu.Lock()
	defer c.mu.Unlock()
	if total > c.total { // or else no time has passed
		c.last = float64(busy-min(busy, c.busy)) / float64(total-c.total)
		c.busy, c.total = busy, total
	}
	return c.last
}
