//go:build e2e

package deploy

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

func helm(t *testing.T) string {
	t.Helper()
	return filepath.Join(strings.TrimSpace(run(t, "go", "env", "GOPATH")), "bin", "helm")
}

// render returns the chart's manifests.
func render(t *testing.T, sets ...string) ([]byte, error) {
	t.Helper()
	args := []string{"template", "post", "deploy/helm/barid", "--kube-version", "1.31.0", "--namespace", "mqtt"}
	for _, s := range sets {
		args = append(args, "--set", s)
	}
	return command(helm(t), args...).CombinedOutput()
}

// manifest is what the tests look at of one.
type manifest struct {
	Kind     string
	Metadata struct{ Name string }
	Data     map[string]string
	Spec     map[string]any
}

func manifests(t *testing.T, text []byte) map[string]manifest {
	t.Helper()
	found := map[string]manifest{}
	for d := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var m manifest
		switch err := d.Decode(&m); err {
		case nil:
			found[m.Kind+"/"+m.Metadata.Name] = m
		case io.EOF:
			return found
		default:
			t.Fatal(err)
		}
	}
}

// chartCases are values that change what is rendered.
var chartCases = map[string][]string{
	"defaults": nil,
	"everything": {
		"ssl.enabled=true", "ssl.existingName=certs", "ssl.clientCA=true", "ssl.requireClientCert=true", "ssl.api=true",
		"auth.existingSecret=users", "auth.passwordKey=passwords", "auth.aclKey=acl", "admin.existingSecret=boss",
		"service.type=LoadBalancer", "service.nodePorts.mqtt=31883", "service.externalTrafficPolicy=Local", "service.annotations.a=b",
		"service.loadBalancerSourceRanges={10.0.0.0/8}", "ingress.dashboard.enabled=true", "ingress.ws.enabled=true",
		"metrics.serviceMonitor.enabled=true", "networkPolicy.enabled=true", "networkPolicy.allowExternal=false",
		"podDisruptionBudget.enabled=true", "resources.limits.memory=1Gi", "envFromSecret=more", "baridConfig.BARID_MQTT__RECEIVE_MAXIMUM=100",
		"extraArgs={--set,mqtt.max_qos=1}", "image.pullSecrets={key}", "persistence.storageClass=-", "podLabels.team=iot", "nodeSelector.disk=ssd",
		"config.mqtt.max_qos=1", "recreatePods=true", "priorityClassName=high",
	},
	"certificate by cert-manager":   {"ssl.enabled=true", "ssl.useExisting=false", "ssl.dnsnames={mqtt.example.org}", "ssl.commonName=mqtt.example.org"},
	"without disk, API and metrics": {"persistence.enabled=false", "service.dashboard=0", "metrics.enabled=false", "service.ws=0"},
	"a claim of one's own":          {"persistence.existingClaim=data-of-post"},
}

func TestTheChartIsWellFormedForKubernetesAndForBarid(t *testing.T) {
	run(t, helm(t), "lint", "--strict", "--kube-version", "1.31.0", "deploy/helm/barid")
	strict := buildStrict(t)
	for name, sets := range chartCases {
		text, err := render(t, sets...)
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, text)
			continue
		}
		if out, err := feed(t, text, strict, "kubernetes"); err != nil {
			t.Errorf("%s: %v\n%s\n%s", name, err, out, text)
		}
		checkConfig(t, name, manifests(t, text)["ConfigMap/post-barid"].Data["barid.yaml"])
	}
	text, _ := render(t)
	if out, err := feed(t, bytes.Replace(text, []byte("replicas:"), []byte("replicsa:"), 1), strict, "kubernetes"); err == nil {
		t.Errorf("a field that Kubernetes does not know is let through: %s", out)
	}
}

func TestTheComposeFileIsWellFormed(t *testing.T) {
	run(t, buildStrict(t), "compose", "deploy/compose/compose.yaml")
}

// buildStrict builds what decodes files for other programs strictly.
func buildStrict(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "strict")
	build := command("go", "build", "-o", program, ".")
	build.Dir = filepath.Join(root, "scripts/deploy/strict")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return program
}

// checkConfig has Barid check what the chart makes, with files in the places of the pod's.
func checkConfig(t *testing.T, name, config string) {
	t.Helper()
	dir := t.TempDir()
	run(t, barid(t), "certs", filepath.Join(dir, "tls"))
	for _, d := range []string{"admin", "auth"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for file, text := range map[string]string{
		"admin/password": "a password", "auth/passwords": "", "auth/acl": "", "tls/tls.crt": "", "tls/tls.key": "", "tls/ca.crt": "",
	} {
		path := filepath.Join(dir, file)
		switch file {
		case "tls/tls.crt":
			text = read(t, filepath.Join(dir, "tls/server.crt"))
		case "tls/tls.key":
			text = read(t, filepath.Join(dir, "tls/server.key"))
		case "tls/ca.crt":
			text = read(t, filepath.Join(dir, "tls/ca.crt"))
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	config = strings.ReplaceAll(config, "/etc/barid/", dir+"/")
	file := filepath.Join(dir, "barid.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := command(barid(t), "check-config", "--config", file).CombinedOutput()
	if err != nil || strings.Contains(string(out), "warning:") {
		t.Errorf("%s: %v\n%s\n%s", name, err, out, config)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestTheChartRefusesWhatItCannotDo(t *testing.T) {
	for want, sets := range map[string][]string{
		"one broker":         {"replicaCount=3"},
		"ssl.existingName":   {"ssl.enabled=true"},
		"ssl.dnsnames":       {"ssl.enabled=true", "ssl.useExisting=false"},
		"not allowed":        {"image.tga=1"},
		"/service/type":      {"service.type=Internal"},
		"BARID_":             {"baridConfig.EMQX_NODE__NAME=x"},
		"/persistence/size":  {"persistence.size=8"},
		"/podManagementPoli": {"podManagementPolicy=Random"},
	} {
		if out, err := render(t, sets...); err == nil || !strings.Contains(string(out), want) {
			t.Errorf("%v: %v, and not %q but\n%.300s", sets, err, want, out)
		}
	}
}

func TestAPodIsAsLittleAsItCanBe(t *testing.T) {
	text, err := render(t)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	for _, want := range []string{
		"readOnlyRootFilesystem: true", "allowPrivilegeEscalation: false", "runAsNonRoot: true", "- ALL", "enableServiceLinks: false",
		"automountServiceAccountToken: false", "type: RuntimeDefault",
	} {
		if !bytes.Contains(text, []byte(want)) {
			t.Errorf("the chart has no %q", want)
		}
	}
}
