package builtin

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strings"
	"time"
)

// Limits of bans. Each pattern and network is compared with every CONNECT, so there are fewer of those.
const (
	maxBans         = 1_000_000
	maxPatterns     = 1000
	maxPatternBytes = 1024
)

// BanBy says what a ban goes by, in EMQX's words.
type BanBy string

// What bans go by.
const (
	BanClientID        BanBy = "clientid"
	BanUsername        BanBy = "username"
	BanAddress         BanBy = "peerhost"
	BanClientIDPattern BanBy = "clientid_re" // a regular expression of Go's syntax, found anywhere unless it is anchored
	BanUsernamePattern BanBy = "username_re"
	BanNetwork         BanBy = "peerhost_net" // as 10.0.0.0/8
)

// Ban keeps clients out.
type Ban struct {
	As     BanBy     `json:"as"`
	Who    string    `json:"who"`
	By     string    `json:"by"` // who banned them
	Reason string    `json:"reason"`
	At     time.Time `json:"at"`
	Until  time.Time `json:"until"` // zero: for good

	pattern *regexp.Regexp
	network netip.Prefix
}

func (b *Ban) key() string { return string(b.As) + ":" + b.Who }

// active reports whether a ban has not ended.
func (b *Ban) active(now time.Time) bool { return b.Until.IsZero() || now.Before(b.Until) }

// parse checks a ban and brings what it goes by into one form.
func (b *Ban) parse() error {
	switch b.As {
	case BanClientID, BanUsername:
		return checkName(string(b.As), b.Who)
	case BanAddress:
		a, err := netip.ParseAddr(b.Who)
		if err != nil {
			return fmt.Errorf("%w: %q is not an address", ErrInvalid, b.Who)
		}
		b.Who = a.Unmap().WithZone("").String()
	case BanNetwork:
		p, err := netip.ParsePrefix(b.Who)
		if err != nil {
			return fmt.Errorf("%w: %q is not a network, as 10.0.0.0/8", ErrInvalid, b.Who)
		}
		b.network = p.Masked()
		b.Who = b.network.String()
	case BanClientIDPattern, BanUsernamePattern:
		re, err := regexp.Compile(b.Who)
		if err != nil || len(b.Who) > maxPatternBytes || b.Who == "" {
			return fmt.Errorf("%w: %q is not a regular expression of at most %d bytes: %v", ErrInvalid, b.Who, maxPatternBytes, err)
		}
		b.pattern = re
	default:
		return fmt.Errorf("%w: bans go by clientid, username, peerhost, clientid_re, username_re or peerhost_net, not %q", ErrInvalid, b.As)
	}
	return nil
}

// matches reports whether a ban by pattern or network is about a client.
func (b *Ban) matches(clientID, username string, addr netip.Addr) bool {
	switch b.As {
	case BanClientIDPattern:
		return b.pattern.MatchString(clientID)
	case BanUsernamePattern:
		return username != "" && b.pattern.MatchString(username)
	case BanNetwork:
		return b.network.Contains(addr)
	case BanClientID:
		return b.Who == clientID
	case BanUsername:
		return b.Who == username
	case BanAddress:
		return addr.IsValid() && b.Who == addr.String()
	}
	return false
}

// Matches reports whether a ban is about a client.
func (b *Ban) Matches(clientID, username string, remote net.Addr) bool {
	return b.matches(clientID, username, hostOf(remote))
}

// Bans are all bans.
type Bans struct {
	table *table[Ban]
	wide  *wide
}

// OpenBans reads the bans that an engine has.
func OpenBans(ctx context.Context, e Engine) (*Bans, error) {
	t, err := open(ctx, e, "mqtt_bans", maxBans, (*Ban).parse)
	if err != nil {
		return nil, err
	}
	b := &Bans{table: t, wide: new(wide)}
	b.wide.gather(t)
	return b, nil
}

// Add bans clients, or changes a ban. It returns the ban as it is kept.
func (b *Bans) Add(ctx context.Context, ban Ban) (Ban, error) {
	if err := ban.parse(); err != nil {
		return ban, err
	}
	if ban.At.IsZero() {
		ban.At = time.Now()
	}
	if ban.pattern != nil || ban.network.IsValid() {
		if _, known := b.table.get(ban.key()); !known && len(b.wide.load()) >= maxPatterns {
			return ban, fmt.Errorf("%w: %d is the most of patterns and networks", ErrTooMany, maxPatterns)
		}
	}
	err := b.table.change(ctx, ban.key(), func(Ban, bool) (Ban, error) { return ban, nil })
	b.wide.gather(b.table)
	return ban, err
}

// Delete ends a ban, or says ErrNotFound.
func (b *Bans) Delete(ctx context.Context, as BanBy, who string) error {
	ban := Ban{As: as, Who: who}
	if err := ban.parse(); err != nil {
		return err
	}
	err := b.table.remove(ctx, ban.key())
	b.wide.gather(b.table)
	return err
}

// Get returns the ban of a kind about somebody, if it is in force.
func (b *Bans) Get(as BanBy, who string) (Ban, bool) {
	ban := Ban{As: as, Who: who}
	if ban.parse() != nil {
		return Ban{}, false
	}
	ban, ok := b.table.get(ban.key())
	return ban, ok && ban.active(time.Now())
}

// BanQuery says which bans are listed; empty fields say nothing.
type BanQuery struct {
	Page
	As    BanBy
	Like  string          // part of whom the ban is about
	Match func(*Ban) bool // nil: all
}

// List returns one page of the bans that have not ended, and how many there are in all.
func (b *Bans) List(q BanQuery) ([]Ban, int) {
	now := time.Now()
	return b.table.list(q.Page, func(_ string, row Ban) bool {
		return row.active(now) && (q.As == "" || row.As == q.As) && strings.Contains(row.Who, q.Like) && (q.Match == nil || q.Match(&row))
	})
}

// Find returns a ban about a client.
func (b *Bans) Find(clientID, username string, remote net.Addr) (Ban, bool) {
	now, addr := time.Now(), hostOf(remote)
	for _, narrow := range []Ban{{As: BanClientID, Who: clientID}, {As: BanUsername, Who: username}, {As: BanAddress, Who: addr.String()}} {
		if ban, ok := b.table.get(narrow.key()); ok && ban.active(now) {
			return ban, true
		}
	}
	for _, ban := range b.wide.load() {
		if ban.active(now) && ban.matches(clientID, username, addr) {
			return ban, true
		}
	}
	return Ban{}, false
}

// Sweep forgets bans that have ended, some at a time.
func (b *Bans) Sweep(ctx context.Context, most int) error {
	now := time.Now()
	ended, _ := b.table.list(Page{1, most}, func(_ string, row Ban) bool { return !row.active(now) })
	for i := range ended {
		if err := b.table.remove(ctx, ended[i].key()); err != nil {
			return err
		}
	}
	if len(ended) > 0 {
		b.wide.gather(b.table)
	}
	return nil
}

// hostOf returns the address of a connection, without port; the zero Addr where it has none.
func hostOf(remote net.Addr) netip.Addr {
	if t, ok := remote.(*net.TCPAddr); ok {
		a, _ := netip.AddrFromSlice(t.IP)
		return a.Unmap()
	}
	if remote == nil {
		return netip.Addr{}
	}
	p, err := netip.ParseAddrPort(remote.String())
	if err != nil {
		return netip.Addr{}
	}
	return p.Addr().Unmap().WithZone("")
}
