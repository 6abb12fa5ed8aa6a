// Package wal is a log of blocks in preallocated segment files. A block is any bytes, has a sequence, and is durable when
// Append has returned. It knows nothing of what is in the blocks.
//
// # Files
//
// The directory holds a file "lock", and the segments, each named after the sequence of its first block in 20 decimal
// digits with the suffix ".wal". Other files are left alone. All numbers are little-endian; CRC is CRC-32C (Castagnoli).
//
// A segment is a header, blocks without gaps, and then zeros up to the size that was preallocated. When a block does not
// fit any more, the segment is sealed: an index is written behind the last block and the file is cut to end with it.
// Then the next segment is made.
//
// The header of a segment:
//
//	offset  bytes  content
//	     0      8  magic: 89 57 41 4c 42 0d 0a 1a ("\x89WALB\r\n\x1a")
//	     8      2  version of the format: 1
//	    10      2  flags: 1 = blocks were not synced one by one
//	    12      4  zero
//	    16      8  sequence of the first block
//	    24      8  salt: random, different for each segment
//	    32     28  zero
//	    60      4  CRC of bytes 0 to 59
//
// A later version may change everything but the magic and the version.
//
// A block begins at a multiple of 8:
//
//	offset  bytes  content
//	     0      4  CRC of the segment's salt and then bytes 4 to 23
//	     4      4  length of the payload
//	     8      8  sequence
//	    16      4  CRC of the payload
//	    20      1  kind: 1 = block, 2 = index
//	    21      3  zero
//	    24      -  payload, then up to 7 zeros
//
// The salt keeps a payload from posing as a block: whoever sends payloads does not know it.
//
// The index of a sealed segment is a block of kind 2, whose sequence is that of the next segment's first block. It has an
// entry for the first block, for each block of 16 KiB and more and the one behind it, and for the first block that is
// 16 KiB or more behind the last entry. So a block is found by reading what is between two entries. Its payload:
//
//	offset  bytes  content
//	     0    8·n  entries: sequence minus the segment's first (4), offset in the file divided by 8 (4)
//	   8·n      8  number of blocks in the segment
//	 8·n+8      8  offset of the index in the file
//	8·n+16      8  magic: 89 57 41 4c 49 0d 0a 1a ("\x89WALI\r\n\x1a"), the file's last bytes
//
// # Opening
//
// Only the last segment is read whole. Its blocks end where zeros, or what is no valid block, begin. If a valid block
// header with a later sequence follows there, a block that was durable is damaged and Open refuses; otherwise what
// follows is an append that never returned, and is overwritten with zeros. A segment whose blocks were not synced one by
// one is cut at the first bad block in either case, since a power cut may have lost blocks in any order; Recovery says
// so. A last segment with a bad header and nothing behind it was being made, and is removed.
//
// An earlier segment is trusted if its header is valid, its index has a valid block header, and the next segment begins
// with the sequence at which it ends. If only its index is damaged it is read whole. Its blocks are verified when they
// are read.
//
// A damaged last block cannot be told from an append that never returned. Who must know remembers the sequence elsewhere
// and compares it with Next.
//
// The last block and the header are written again before the last segment is synced: after a failed sync the kernel may
// show pages as clean that never reached the disk, and a sync alone would skip them.
package wal
