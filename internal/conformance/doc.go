// Package conformance shows, statement by statement, that the broker does what MQTT 5, 3.1.1 and 3.1 demand of a server.
//
// The statements are data (mqtt5.tsv, mqtt311.tsv, mqtt31.tsv): a number, a few words, and for those that no test can
// show, the reason. What shows a statement names it: a scenario in testdata, a vector of the codec, or a Go test with a
// line "// Statements: [MQTT-3.3.1-5]". The gate in this package's tests fails when a statement has neither evidence
// nor a reason, and keeps docs/conformance.md up to date.
//
// Numbers of different standards look alike, so they are told apart by their prefix:
//
//	[MQTT-3.3.1-5]          MQTT 5
//	[MQTT-3.1.1/3.3.1-5]    MQTT 3.1.1
//	[MQTT-3.1/3.3-2]        MQTT 3.1, which has no numbers: its section, and ours within it
//
// # Scripts
//
// A script is a text file of scenarios, each a dialogue between clients and a fresh broker in virtual time:
//
//	== a retained message is replaced [MQTT-3.3.1-5]
//	[MQTT-3.3.1-9]                               # more statements
//	versions v5 v3.1.1                           # play it once for each, as $v
//	set mqtt.overlap=each                        # configuration
//	user reader secret                           # who may connect; without such a line everybody
//	deny publish closed/#                        # what nobody may do
//	A: connect $v id=a clean                     # opens a connection and sends CONNECT
//	A< connack 0x00 session_present=0            # the next packet from the server
//	B: connected v5 id=b clean                   # the same, with the CONNACK taken for granted
//	B: subscribed t qos1                         # SUBSCRIBE, granted in its SUBACK
//	A> publish t qos1 id=1 retain payload=one prop=k:v expiry=10
//	v5| A< puback 1                              # for this version only
//	advance 10s
//	A< nothing
//	A> raw 30 ( s"t" "one" )                     # bytes; see AppendRaw
//	A< rest without publish t                    # all that still comes, acknowledged, must not hold this
//	A< closed                                    # the server closed the connection
//	restart                                      # of the broker, with what it has stored
//	B drop                                       # the client cuts it
//	B ignore-rest                                # do not look at what is left at the end
//
// A packet is its name, its positional fields, and name=value for the rest; flags stand alone. An expectation compares
// the fields that it lists, and always those that have a natural default: QoS, DUP, RETAIN, reason codes. Of the values,
// "*" is any, "-" is none, and @name takes what came the first time and stands for it afterwards. The word exact demands
// that nothing else be there. "A< any-order {" … "}" takes packets, one a line, in any order. "for i in 1..3" … "end"
// repeats lines with $i. At the end of a scenario every connection must have been read to its end.
//
// The package has a codec of its own, because one that it shared with the broker would hide the broker's mistakes, and
// because a test must be able to say what no correct client says.
package conformance
