package api

import (
	_ "embed" // the contract
	"net/http"
	"sync"

	"github.com/barid-mqtt/barid/api/apidoc"
	"github.com/barid-mqtt/barid/api/dashboard"
)

//go:embed openapi.yaml
var contract []byte

// referencePage is the contract for people. It is made when somebody first asks for it.
var referencePage = sync.OnceValues(func() ([]byte, error) { return apidoc.Page(contract) })

// reference serves the contract, as it is and as a page. It is open: it tells what any copy of the program tells.
type reference struct{}

// Routes implements Resource.
func (r reference) Routes() []Route {
	return []Route{
		{Method: "GET", Path: Base + "/openapi.yaml", Access: Open, Handler: r.contract},
		{Method: "GET", Path: "/reference", Access: Open, Handler: r.page},
	}
}

func (reference) contract(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/yaml")
	_, _ = w.Write(contract)
	return nil
}

func (reference) page(w http.ResponseWriter, _ *http.Request) error {
	body, err := referencePage()
	if err != nil {
		return err
	}
	dashboard.Protect(w.Header())
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(body)
	return nil
}
