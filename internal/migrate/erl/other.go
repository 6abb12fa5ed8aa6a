package erl

// The tags of what is read over: nothing of it means anything outside of the Erlang system that it is from. Compiled regular
// expressions, which are in bans, hold references.
const (
	tagReference      = 101
	tagPort           = 102
	tagPid            = 103
	tagExport         = 113
	tagNewReference   = 114
	tagNewFunction    = 112
	tagNewPort        = 89
	tagNewerReference = 90
	tagNewPid         = 88
	tagV4Port         = 120
)

// other reads a term of which nothing is kept but that it was there.
func (d *decoder) other(tag byte, depth int) Term {
	switch tag {
	case tagFloat:
		return Term{Kind: Number, Text: string(d.take(31))}
	case tagBitBinary: // the last byte has that many bits
		size := d.size(4)
		d.take(1)
		return d.text(Binary, size)
	case tagReference, tagPort:
		d.after(depth, 5)
	case tagNewPort:
		d.after(depth, 8)
	case tagV4Port, tagNewPid:
		d.after(depth, 12)
	case tagPid:
		d.after(depth, 9)
	case tagNewReference:
		words := d.size(2)
		d.after(depth, 1+4*words)
	case tagNewerReference:
		words := d.size(2)
		d.after(depth, 4+4*words)
	case tagExport:
		for range 3 {
			d.term(depth + 1)
		}
	case tagNewFunction: // its size is that of all of it, with the size
		d.take(d.size(4) - 4)
	default:
		d.fail("a term with the tag %d", tag)
	}
	return Term{Kind: Other}
}

// after reads over the name of a node and so many bytes after it.
func (d *decoder) after(depth, n int) {
	d.term(depth + 1)
	d.take(n)
}
