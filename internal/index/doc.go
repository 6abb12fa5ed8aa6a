// Package index finds the subscriptions whose topic filters match a topic name.
//
// # Two halves
//
// A filter without wildcards matches only the topic that is spelled like it. These filters, by far the most in a large
// installation, are in a hash table, and one look finds all of a topic's. Filters with wildcards are in a trie beside it.
//
// # The trie, by example
//
// After adding site/1/#, dev/+/state/temp, dev/+/state/door and +/alarm the trie is
//
//	root ─┬─ site/1/#
//	      ├─ dev/+/state ─┬─ temp
//	      │               └─ door
//	      └─ +/alarm
//
// A node's label is a run of whole levels, wildcards included: there is a node only where a filter ends or filters part, so
// a filter adds two nodes at most, be it a thousand levels long. A node's children are found by the first level of their
// labels: the one with '+' and the one with '#' have a place of their own, the others are in a hash table. To add dev/+/cmd,
// the node dev/+/state is split in dev/+ and state; when it is removed, they become one again.
//
// The topic dev/7/state/door is matched with a stack of nodes to try:
//
//	root        level "dev": push +/alarm, push dev/+/state
//	dev/+/state the label fits dev/7/state; level "door" is left: push door
//	door        fits, the topic is used up: found
//	+/alarm     '+' takes "dev", but "alarm" is not "7": no
//
// # What it costs
//
// A node of the trie is reached on one path only, so a match visits no node twice, and those it visits spell filters that
// agree with the topic as far as they go. With hostile filters such as +/a/+/a that is as many nodes as somebody subscribed
// to, never more: there is no backtracking. The topic's length enters once for each of those, at most.
//
// A subscription with a filter of its own takes one node of 32 bytes, a slot of about 13 bytes in a hash table, and the
// string. A filter's values are in the node if there is one, a slice if there are a few, and a tree with a position for each
// value if there are many, so that subscriber number 100,000 of one filter costs what number 100 did, to add and to remove.
//
// Of many values some may be absent: those of sessions that sleep, for whom one message is kept and nobody has to be found.
// MatchPresent leaves them out and says how many they are, HasMatch finds the first of them that is asked for.
//
// # Reading without locks
//
// What readers see does not change: a change makes a new node and swaps the one pointer to it. Hash tables are changed in
// place, one slot at a time, and nodes never move in them; one that has to grow is copied, and readers of the old one finish
// there. So a match during changes finds every subscription that is there for all its time, and no value of a filter twice.
// Writers take a lock: one of 128 for an exact filter, another one for all filters with wildcards.
package index
