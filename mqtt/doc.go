// Package mqtt is a codec for the control packets of MQTT 3.1, 3.1.1 and 5.0, with topic names, topic filters and
// reason codes. It does no I/O and keeps no state.
//
// # Decoding
//
// A packet is decoded in two steps, so that its reader can decide about its length before the body has come:
//
//	h, n, err := mqtt.DecodeHeader(buf)      // ErrIncomplete: read more
//	body := buf[n : n+int(h.Remaining)]      // once it is there
//	packet, err := mqtt.Decode(h, body, mqtt.V5)
//
// Decode makes a new packet. Each packet type also has a Decode method that overwrites one that is there; with
// Publish.Decode a connection reads message after message without allocating. Nothing is copied but strings: byte
// slices of a packet lie in the body and are valid as long as it is.
//
// What is accepted is what the standard allows: lengths and variable byte integers in their shortest form, UTF-8 without
// U+0000, no reserved bit, no property twice or in the wrong packet, no reason code of another packet. The error is a
// *DecodeError with the reason code to answer with, the place, and the number of the statement that is broken.
//
// What depends on more than the bytes of one packet is left to the caller: the direction (a client must not send a
// subscription identifier in PUBLISH), limits that were agreed on, and whether topic filters are well-formed, which a
// server answers filter by filter: see ParseTopicFilter.
//
// # Encoding
//
// Each packet's AppendTo appends its shortest encoding to a slice. What a version cannot say is left out, such as
// properties before version 5, or is an error where leaving it out would change what the packet means. What AppendTo
// has made, Decode accepts.
//
// # Properties
//
// Properties are fields of their packets. Zero means that a property is absent where absence and zero mean the same, or
// zero is not allowed; pointers, HasX fields and PublishProperties.Present tell it elsewhere. User properties stay in
// their encoding: see UserProperties.
package mqtt
