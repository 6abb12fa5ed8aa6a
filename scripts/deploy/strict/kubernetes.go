package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"

	certmanager "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/yaml"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
)

// kubernetes decodes each manifest into its API type.
func kubernetes(r io.Reader) (string, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		core.AddToScheme, apps.AddToScheme, networking.AddToScheme, policy.AddToScheme, monitoring.AddToScheme, certmanager.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			return "", err
		}
	}
	decoder := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	documents := yaml.NewYAMLReader(bufio.NewReader(r))
	n := 0
	var errs []error
	for {
		doc, err := documents.Read()
		switch {
		case err == io.EOF && n == 0:
			return "", errors.New("there is no manifest on standard input")
		case err == io.EOF:
			return fmt.Sprintf("%d manifests are well formed", n), errors.Join(errs...)
		case err != nil:
			return "", err
		case blank(string(doc)):
			continue
		}
		n++
		if _, kind, err := decoder.Decode(doc, nil, nil); err != nil {
			errs = append(errs, fmt.Errorf("manifest %d (%v): %w", n, kind, err))
		}
	}
}

// blank reports whether a document has nothing but comments.
func blank(doc string) bool {
	for line := range strings.Lines(doc) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' && line != "---" {
			return false
		}
	}
	return true
}
