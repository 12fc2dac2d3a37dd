{{/*
Roles and bindings of a part: rules for releases in the whole cluster or in the
chosen namespaces, for the cluster only with the former, for its own namespace.
*/}}
{{- define "fairlead.rbac" -}}
{{- $subject := printf "- {kind: ServiceAccount, name: %s, namespace: %s}" .name .of.root.Release.Namespace }}
{{- $labels := include "fairlead.labels" .of }}
{{- if not .namespaces }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata:
  name: {{ .of.root.Release.Namespace }}-{{ .name }}
  labels: {{- $labels | nindent 4 }}
rules:
{{- concat .releases (.cluster | default list) | toYaml | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata:
  name: {{ .of.root.Release.Namespace }}-{{ .name }}
  labels: {{- $labels | nindent 4 }}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: {{ .of.root.Release.Namespace }}-{{ .name }}}
subjects:
{{ $subject }}
{{- end }}
{{- $part := . }}
{{- range .namespaces }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: {{ $part.name }}
  namespace: {{ . }}
  labels: {{- $labels | nindent 4 }}
rules:
{{- $part.releases | toYaml | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: {{ $part.name }}
  namespace: {{ . }}
  labels: {{- $labels | nindent 4 }}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: {{ $part.name }}}
subjects:
{{ $subject }}
{{- end }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: {{ .name }}-own
  namespace: {{ .of.root.Release.Namespace }}
  labels: {{- $labels | nindent 4 }}
rules:
{{- .own | toYaml | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: {{ .name }}-own
  namespace: {{ .of.root.Release.Namespace }}
  labels: {{- $labels | nindent 4 }}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: {{ .name }}-own}
subjects:
{{ $subject }}
{{- end }}
