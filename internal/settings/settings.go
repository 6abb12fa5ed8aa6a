// Package settings changes the configuration while the broker runs. There are three ways: the file is read again
// (Reload), some keys are set until the restart, or they are set for good (Change). Each makes the whole configuration anew
// from all its sources, so that a change is judged by the same rules as a start, and then tells those who follow what it is
// now. What cannot change while the broker runs stays as it was.
package settings

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/barid-mqtt/barid/internal/config"
)

// Settings are the configuration in effect.
type Settings struct {
	mu      sync.Mutex // guards what follows; followers are called under it
	sources config.Sources
	loaded  *config.Loaded // its Config is what is in effect
	follow  []func(*config.Config)
}

// Load reads the configuration from its sources, and from the overrides in the data directory that these name. With an error
// come the warnings.
func Load(sources config.Sources) (*Settings, []config.Warning, error) {
	loaded, err := config.LoadAll(sources)
	if err == nil {
		if sources.Overrides = loaded.Config.Overrides(); sources.Overrides != "" {
			loaded, err = config.LoadAll(sources)
		}
	}
	if err != nil {
		return nil, loaded.Warnings, err
	}
	sources.Live = map[string]string{}
	return &Settings{sources: sources, loaded: loaded}, loaded.Warnings, nil
}

// Config returns what is in effect. Nobody changes it.
func (s *Settings) Config() *config.Config {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.loaded.Config
}

// Follow has fn called with the configuration whenever it changes.
func (s *Settings) Follow(fn func(*config.Config)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.follow = append(s.follow, fn)
}

// List returns all keys and where their values come from.
func (s *Settings) List() []config.Setting {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.loaded.Settings()
}

// Reload reads all sources again. changed are the keys that are in effect now, restart those that differ and wait for a
// restart. With an error nothing changes.
func (s *Settings) Reload() (changed, restart []string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	loaded, err := config.LoadAll(s.sources)
	if err != nil {
		return nil, nil, err
	}
	changed, restart = s.adopt(loaded)
	return changed, restart, nil
}

// Change sets keys, until the restart or, with persist, for good. A value is as the environment would say it; nil takes
// back what was changed before. It returns the keys whose values are others now. Everything is changed, or nothing; a key
// that cannot change is an error.
func (s *Settings) Change(values map[string]*string, persist bool) (changed []string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if persist && s.sources.Overrides == "" {
		return nil, errors.New("nothing outlives this process: durability is memory")
	}
	next := s.sources
	next.Live = maps.Clone(s.sources.Live)
	kept, err := s.kept(values, persist)
	if err != nil {
		return nil, err
	}
	for key, value := range values {
		switch {
		case !config.IsLive(key) && value == nil:
			return nil, unchangeable(key)
		case value == nil || persist:
			delete(next.Live, key)
		default:
			next.Live[key] = *value
		}
	}
	if persist { // judged before it is written, as if it were set live
		trial := next
		trial.Live = maps.Clone(next.Live)
		for key, value := range values {
			if value != nil {
				trial.Live[key] = *value
			}
		}
		if _, err := config.LoadAll(trial); err != nil {
			return nil, plain(err)
		}
	}
	return s.replace(next, kept)
}

// kept is what the file of overrides is to hold; nil: it stays. The caller holds s.mu.
func (s *Settings) kept(values map[string]*string, persist bool) (map[string]string, error) {
	if s.sources.Overrides == "" {
		return nil, nil
	}
	kept, err := config.ReadOverrides(s.sources.Overrides)
	if err != nil {
		return nil, err
	}
	writes := false
	for key, value := range values {
		_, there := kept[key]
		switch {
		case persist && value != nil:
			if at := s.above(key); at != "" {
				return nil, fmt.Errorf("%s: is set by %s, which goes before what is kept: change it there", key, at)
			}
			kept[key], writes = *value, true
		case value == nil && there:
			delete(kept, key)
			writes = true
		}
	}
	if !writes {
		return nil, nil
	}
	return kept, nil
}

// above returns the source of a key that overrides do not reach, if it has such a one. The caller holds s.mu.
func (s *Settings) above(key string) string {
	base := s.sources
	base.Live = nil
	loaded, err := config.LoadAll(base)
	if err != nil {
		return ""
	}
	at := loaded.Source(key)
	if strings.HasPrefix(at, "BARID_") || strings.HasPrefix(at, "--set ") {
		return at
	}
	return ""
}

// replace writes the overrides, if kept is not nil, and adopts what the sources say then. The caller holds s.mu.
func (s *Settings) replace(next config.Sources, kept map[string]string) (changed []string, err error) {
	if kept != nil {
		if err := config.WriteOverrides(s.sources.Overrides, kept); err != nil {
			return nil, err
		}
	}
	loaded, err := config.LoadAll(next)
	if err != nil {
		return nil, plain(err)
	}
	s.sources.Live = next.Live
	changed, _ = s.adopt(loaded)
	return changed, nil
}

// adopt puts in effect what can be, and tells the followers. The caller holds s.mu.
func (s *Settings) adopt(loaded *config.Loaded) (changed, restart []string) {
	for _, key := range config.Differ(s.loaded.Config, loaded.Config) {
		if config.IsLive(key) {
			changed = append(changed, key)
		} else {
			restart = append(restart, key)
		}
	}
	loaded.Config = s.loaded.Config.With(loaded.Config, changed)
	s.loaded = loaded
	if len(changed) > 0 {
		for _, fn := range s.follow {
			fn(loaded.Config)
		}
	}
	slices.Sort(changed)
	return changed, restart
}

func unchangeable(key string) error {
	return fmt.Errorf("%s: cannot change while the broker runs", key)
}

// plain says of what is wrong with a change only the key and the problem: where it comes from is known.
func plain(err error) error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return err
	}
	var texts []string
	for _, one := range joined.Unwrap() {
		var wrong *config.Error
		if errors.As(one, &wrong) {
			texts = append(texts, wrong.Key+": "+wrong.Problem)
		} else {
			texts = append(texts, one.Error())
		}
	}
	return errors.New(strings.Join(texts, "; "))
}
