{{- define "barid.name" -}}
{{ default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{- define "barid.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{ .Values.fullnameOverride | trunc 52 | trimSuffix "-" }}
{{- else if contains (include "barid.name" .) .Release.Name -}}
{{ .Release.Name | trunc 52 | trimSuffix "-" }}
{{- else -}}
{{ printf "%s-%s" .Release.Name (include "barid.name" .) | trunc 52 | trimSuffix "-" }}
{{- end -}}
{{- end }}

{{- define "barid.selector" -}}
app.kubernetes.io/name: {{ include "barid.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "barid.labels" -}}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{ include "barid.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
{{- end }}

{{- define "barid.serviceAccount" -}}
{{ if .Values.serviceAccount.create }}{{ default (include "barid.fullname" .) .Values.serviceAccount.name }}{{ else }}{{ default "default" .Values.serviceAccount.name }}{{ end }}
{{- end }}

{{- define "barid.adminSecret" -}}
{{ default (printf "%s-admin" (include "barid.fullname" .)) .Values.admin.existingSecret }}
{{- end }}

{{- define "barid.tlsSecret" -}}
{{- if .Values.ssl.useExisting -}}
{{ required "ssl.existingName: name the secret that has tls.crt and tls.key, or set ssl.useExisting=false" .Values.ssl.existingName }}
{{- else -}}
{{ printf "%s-tls" (include "barid.fullname" .) }}
{{- end -}}
{{- end }}

{{/* The listeners that are open: names of ports and their numbers, in the pod and in the service alike. */}}
{{- define "barid.ports" -}}
{{- $s := .Values.service -}}
{{- $ports := list (dict "name" "mqtt" "port" $s.mqtt) (dict "name" "ws" "port" $s.ws) -}}
{{- if .Values.ssl.enabled -}}
{{- $ports = concat $ports (list (dict "name" "mqttssl" "port" $s.mqttssl) (dict "name" "wss" "port" $s.wss)) -}}
{{- end -}}
{{- $ports = append $ports (dict "name" "dashboard" "port" $s.dashboard) -}}
{{- $open := list -}}
{{- range $ports -}}{{- if .port -}}{{- $open = append $open . -}}{{- end -}}{{- end -}}
{{ toJson $open }}
{{- end }}

{{- define "barid.config" -}}
{{- $tls := dict "cert_file" "/etc/barid/tls/tls.crt" "key_file" "/etc/barid/tls/tls.key" -}}
{{- $clients := dict -}}
{{- if .Values.ssl.clientCA -}}
{{- $clients = dict "client_ca_file" "/etc/barid/tls/ca.crt" "require_client_cert" .Values.ssl.requireClientCert -}}
{{- end -}}
{{- $listeners := dict -}}
{{- range fromJsonArray (include "barid.ports" .) -}}
{{- $bind := dict "bind" (printf "[::]:%d" (int .port)) -}}
{{- if eq .name "mqtt" -}}{{- $_ := set $listeners "tcp" (merge (dict "type" "tcp") $bind) -}}{{- end -}}
{{- if eq .name "ws" -}}{{- $_ := set $listeners "ws" (merge (dict "type" "ws" "path" "/mqtt") $bind) -}}{{- end -}}
{{- if eq .name "mqttssl" -}}{{- $_ := set $listeners "tls" (merge (dict "type" "tls") $bind $tls $clients) -}}{{- end -}}
{{- if eq .name "wss" -}}{{- $_ := set $listeners "wss" (merge (dict "type" "wss" "path" "/mqtt") $bind $tls $clients) -}}{{- end -}}
{{- end -}}
{{- $api := dict "bind" "" -}}
{{- if .Values.service.dashboard -}}
{{- $api = dict "bind" (printf "[::]:%d" (int .Values.service.dashboard)) "admin" (dict "username" .Values.admin.username "password_file" "/etc/barid/admin/password") -}}
{{- if and .Values.ssl.enabled .Values.ssl.api -}}{{- $api = merge $api $tls -}}{{- end -}}
{{- end -}}
{{- $config := dict "data_dir" "/var/lib/barid" "listeners" $listeners "api" $api "logging" (dict "format" "json") -}}
{{- if not .Values.persistence.enabled -}}{{- $_ := set $config "durability" "memory" -}}{{- end -}}
{{- if .Values.metrics.enabled -}}
{{- $_ := set $config "metrics" (dict "bind" (printf "[::]:%d" (int .Values.metrics.port)) "allow_anonymous" true) -}}
{{- end -}}
{{- with .Values.auth -}}{{- if .existingSecret -}}
{{- $auth := dict -}}
{{- if .passwordKey -}}{{- $_ := set $auth "password_file" (printf "/etc/barid/auth/%s" .passwordKey) -}}{{- end -}}
{{- if .aclKey -}}{{- $_ := set $auth "acl_file" (printf "/etc/barid/auth/%s" .aclKey) -}}{{- end -}}
{{- $_ := set $config "auth" $auth -}}
{{- end -}}{{- end -}}
{{ mustMergeOverwrite $config (deepCopy .Values.config) | toYaml }}
{{- end }}
