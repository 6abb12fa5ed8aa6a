// Package wal is a log of blocks in preallocated segment files.
package wal
