package auth

import "strings"

// covers reports whether filter a matches every topic that b matches.
func covers(a, b string) bool {
	if a == "+/#" { // every topic has a first level, which may be empty
		a = "#"
	}
	for first := true; ; first = false {
		levelA, restA, moreA := strings.Cut(a, "/")
		levelB, restB, moreB := strings.Cut(b, "/")
		switch {
		case hidden(first, levelA, levelB):
			return false
		case levelA == "#":
			return true
		case levelB == "#", levelA != "+" && levelA != levelB:
			return false
		case !moreA || !moreB:
			return moreA == moreB || moreA && restA == "#" // a/# matches a
		}
		a, b = restA, restB
	}
}

// overlaps reports whether some topic matches both filters.
func overlaps(a, b string) bool {
	for first := true; ; first = false {
		levelA, restA, moreA := strings.Cut(a, "/")
		levelB, restB, moreB := strings.Cut(b, "/")
		switch {
		case hidden(first, levelA, levelB), hidden(first, levelB, levelA):
			return false
		case levelA == "#" || levelB == "#":
			return true
		case levelA != "+" && levelB != "+" && levelA != levelB:
			return false
		case !moreA || !moreB:
			return moreA == moreB || moreA && restA == "#" || moreB && restB == "#"
		}
		a, b = restA, restB
	}
}

// hidden reports whether a wildcard at the beginning of one filter leaves out topics that begin as the other does
// [MQTT-4.7.2-1].
func hidden(first bool, wildcard, level string) bool {
	return first && (wildcard == "#" || wildcard == "+") && strings.HasPrefix(level, "$")
}
