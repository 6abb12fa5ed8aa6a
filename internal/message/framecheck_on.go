//go:build framecheck

package message

const frameCheck = true
