package api

import (
	_ "embed" // the contract
	"net/http"
)

//go:embed openapi.yaml
var contract []byte

// reference serves the contract. It is open: it tells what any copy of the program tells.
type reference struct{}

// Routes implements Resource.
func (reference) Routes() []Route {
	return []Route{{Method: "GET", Path: Base + "/openapi.yaml", Access: Open, Handler: func(w http.ResponseWriter, _ *http.Request) error {
		w.Header().Set("Content-Type", "application/yaml")
		_, _ = w.Write(contract)
		return nil
	}}}
}
