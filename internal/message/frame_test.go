package message

import (
	"fmt"
	"testing"
)

func TestAFrameIsUsedAgainAfterItsLastRelease(t *testing.T) {
	if frameCheck {
		t.Skip("with the tag framecheck no frame is")
	}
	n := testing.AllocsPerRun(100, func() {
		m, room := New(300)
		m.Payload = append(room, "payload"...)
		m.Hold()
		m.Release()
		m.Release()
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestAFrameIsNotUsedWhileItIsHeld(t *testing.T) {
	held := make(map[*Message]bool)
	for i := range 1000 {
		m, room := New(10)
		if held[m] {
			t.Fatal("a message that is held was given out again")
		}
		m.Payload = fmt.Append(room, i)
		if i%2 == 0 {
			m.Hold()
			held[m] = true
		}
		m.Release()
	}
	for i := range 100 {
		m, _ := New(10)
		m.Keep()
		m.Release()
		if held[m] {
			t.Fatal("a message that is kept was given out again")
		}
		held[m] = i >= 0
	}
}

func TestLargeMessagesAndOthersAreLeftAlone(t *testing.T) {
	m, room := New(1 << 20)
	if cap(room) < 1<<20 {
		t.Error("no room")
	}
	for _, m := range []*Message{m, {Topic: "t"}, nil} {
		m.Hold()
		m.Release()
		m.Release()
		m.Keep()
		m.Check()
	}
}

func TestMisuseIsFound(t *testing.T) {
	if !frameCheck {
		t.Skip("only with the tag framecheck")
	}
	for name, misuse := range map[string]func(*Message){
		"released twice":     (*Message).Release,
		"held after release": (*Message).Hold,
		"used after release": (*Message).Check,
	} {
		m, room := New(10)
		m.Payload = append(room, "payload"...)
		m.Release()
		if string(m.Payload) == "payload" {
			t.Error("what was released can still be read")
		}
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			misuse(m)
		}()
	}
}
