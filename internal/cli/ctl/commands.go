package ctl

import "slices"

// commands are all of them, in the order in which they are listed.
var commands = slices.Concat(statusCommands, observeCommands, explainCommands, traceCommands, clientCommands, topicCommands, messageCommands, consumerCommands, banCommands, userCommands,
	ruleCommands, groupCommands, listenerCommands, streamCommands, configCommands, keyCommands, peopleCommands)

// paging are the options of long lists.
var paging = []option{
	{name: "limit", usage: "rows a page, up to 10000 (`N`; 100 by default)", kind: number, param: "limit"},
	{name: "page", usage: "which page, from 1 (`N`)", kind: number, param: "page"},
}

func with(options ...option) []option { return append(options, paging...) }
