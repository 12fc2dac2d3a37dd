{{- define "fairlead.name" -}}
{{- if contains "fairlead" .Release.Name }}{{ .Release.Name | trunc 50 | trimSuffix "-" }}{{ else }}{{ printf "%s-fairlead" .Release.Name | trunc 50 | trimSuffix "-" }}{{ end }}
{{- end }}

{{- define "fairlead.selector" -}}
app.kubernetes.io/name: fairlead
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .part }}
{{- end }}

{{- define "fairlead.labels" -}}
{{ include "fairlead.selector" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version }}
{{- end }}

{{- define "fairlead.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end }}

{{- define "fairlead.secret" -}}
{{ .Values.auth.existingSecret | default (printf "%s-token" (include "fairlead.name" .)) }}
{{- end }}

{{/* PodSecurity "restricted". */}}
{{- define "fairlead.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
fsGroup: 65532
fsGroupChangePolicy: OnRootMismatch
seccompProfile: {type: RuntimeDefault}
{{- end }}

{{- define "fairlead.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* The part's scheduling. */}}
{{- define "fairlead.scheduling" -}}
{{- with .nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .tolerations }}
tolerations: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .affinity }}
affinity: {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* Environment that all parts share; .token adds FAIRLEAD_TOKEN. */}}
{{- define "fairlead.env" -}}
- {name: POD_NAME, valueFrom: {fieldRef: {fieldPath: metadata.name}}}
- {name: POD_NAMESPACE, valueFrom: {fieldRef: {fieldPath: metadata.namespace}}}
- {name: GOMEMLIMIT, valueFrom: {resourceFieldRef: {resource: limits.memory, divisor: "1"}}}
{{- with .root.Values.clusterName }}
- {name: FAIRLEAD_CLUSTER_NAME, value: {{ . | quote }}}
{{- end }}
{{- if .root.Values.caBundle.configMap }}
- {name: SSL_CERT_FILE, value: /etc/fairlead-ca/{{ .root.Values.caBundle.key }}}
{{- end }}
{{- if and .token (not .root.Values.auth.insecure) }}
- {name: FAIRLEAD_TOKEN, valueFrom: {secretKeyRef: {name: {{ include "fairlead.secret" .root }}, key: {{ .root.Values.auth.key }}}}}
{{- end }}
{{- end }}

{{- define "fairlead.caMount" -}}
{{- if .Values.caBundle.configMap }}
- {name: ca, mountPath: /etc/fairlead-ca, readOnly: true}
{{- end }}
{{- end }}

{{- define "fairlead.caVolume" -}}
{{- if .Values.caBundle.configMap }}
- {name: ca, configMap: {name: {{ .Values.caBundle.configMap }}}}
{{- end }}
{{- end }}

{{/* The server's configuration file: what the chart needs, under server.config. */}}
{{- define "fairlead.config" -}}
{{- $listen := dict "http" "0.0.0.0:8484" "otlpGrpc" "0.0.0.0:4317" "otlpHttp" "0.0.0.0:4318" "insecure" .Values.auth.insecure }}
{{- $config := dict "listen" $listen "store" (dict "dir" "/data") }}
{{- if not .Values.auth.insecure }}
{{- $token := dict "name" "chart" "file" (printf "/run/secrets/fairlead/%s" .Values.auth.key) "access" .Values.auth.access }}
{{- $_ := set $config "auth" (dict "tokens" (list $token)) }}
{{- end }}
{{- mergeOverwrite $config (deepCopy .Values.server.config) | toYaml }}
{{- end }}
