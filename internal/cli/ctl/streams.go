package ctl

var streamColumns = []column{
	{title: "STREAM", field: "name"}, {title: "FILTERS", field: "filters"}, {title: "MESSAGES", field: "messages"}, {title: "BYTES", field: "bytes"},
	{title: "KEEP SECONDS", field: "keep_seconds"}, {title: "KEEP BYTES", field: "keep_bytes"}, {title: "LAST VALUE", field: "last_value"}, {title: "FROM", field: "source"},
}

var streamCommands = []command{
	{words: "streams list", short: "declared histories", method: "GET", path: "/streams", columns: streamColumns, options: paging},
	{words: "streams show", short: "one stream", operands: []string{"NAME"}, method: "GET", path: "/streams/{NAME}", columns: streamColumns},
	{words: "streams put", short: "declare a stream, or change what it is", operands: []string{"NAME"}, method: "PUT", path: "/streams/{NAME}", columns: streamColumns,
		options: []option{
			{name: "filter", usage: "what it keeps (`FILTER`); may be repeated", kind: list, param: "filters"},
			{name: "keep-seconds", usage: "age of the oldest message (`N`; 0: no limit)", kind: number, param: "keep_seconds"},
			{name: "keep-bytes", usage: "size of what is kept (`N`; 0: no limit)", kind: number, param: "keep_bytes"},
			{name: "last-value", usage: "keep only the last message of each topic", kind: yes, param: "last_value"},
		}},
	{words: "streams delete", short: "end a stream and forget its history", operands: []string{"NAME"}, method: "DELETE", path: "/streams/{NAME}",
		done: "{NAME} is no stream"},
	{words: "history", short: "messages that are kept, of a stream or of a filter", method: "GET", path: "/history", options: []option{
		{name: "stream", usage: "of this stream (`NAME`)", param: "stream"},
		{name: "filter", usage: "that match this `FILTER`", param: "filter"},
		{name: "from", usage: "from a `POSITION` on", param: "from"},
		{name: "since", usage: "from a `TIME` on", param: "since"},
		{name: "limit", usage: "at most `N`", kind: number, param: "limit"},
	}, columns: []column{{title: "POSITION", field: "id"}, {title: "AT", field: "publish_at"}, {title: "TOPIC", field: "topic"}, {title: "QOS", field: "qos"},
		{title: "FROM", field: "from_clientid"}, {title: "PAYLOAD", field: "payload"}}},
}
