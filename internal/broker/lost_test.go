package broker

import (
	"testing"

	"github.com/barid-mqtt/barid/internal/message"
)

func TestEveryLossOfASessionCountsOnceAndInItsPlace(t *testing.T) {
	for reason, want := range map[message.DropReason]LostCounts{
		message.DropQueueFull:     {Copies: 3, Full: 3},
		message.DropQueueAge:      {Copies: 3, Full: 3},
		message.DropSlowConsumer:  {Copies: 3, Slow: 3},
		message.DropMemory:        {Copies: 3, Slow: 3},
		message.DropExpired:       {Copies: 3, Expired: 3},
		message.DropTooLarge:      {Copies: 3, TooLarge: 3},
		message.DropOffline:       {Copies: 3},
		message.DropNotAuthorized: {Copies: 3},
	} {
		var l LostCounts
		if l.dropped(reason, 3); l != want {
			t.Errorf("%v: %+v, not %+v", reason, l, want)
		}
	}
}
