{{- define "app.labels" -}}
app.kubernetes.io/name: app
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end }}

{{/* The pod template of every workload; the argument is a dict of root and component. */}}
{{- define "app.pod" -}}
{{- $v := .root.Values -}}
metadata:
  labels:
    {{- include "app.labels" .root | nindent 4 }}
    app.kubernetes.io/component: {{ .component }}
    {{- with $v.labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with $v.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  terminationGracePeriodSeconds: {{ $v.terminationGracePeriodSeconds }}
  {{- with $v.serviceAccountName }}
  serviceAccountName: {{ . }}
  {{- end }}
  {{- with $v.nodeSelector }}
  nodeSelector:
    {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- if $v.init.enabled }}
  initContainers:
  - name: init
    image: {{ $v.image }}
    imagePullPolicy: {{ $v.imagePullPolicy }}
    args: [job, {{ $v.init.result | quote }}, {{ $v.init.after | quote }}]
  {{- end }}
  containers:
  - name: app
    image: {{ $v.image }}
    imagePullPolicy: {{ $v.imagePullPolicy }}
    {{- with $v.args }}
    args:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    ports:
    - {name: http, containerPort: 8080}
    {{- with $v.env }}
    env:
    {{- range $name, $value := . }}
    - name: {{ $name }}
      value: {{ $value | quote }}
    {{- end }}
    {{- end }}
    {{- range $probe := list "readinessProbe" "livenessProbe" "startupProbe" }}
    {{- with index $v $probe }}
    {{ $probe }}:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    {{- end }}
    resources:
      {{- toYaml $v.resources | nindent 6 }}
    {{- if $v.persistence.enabled }}
    volumeMounts:
    - {name: data, mountPath: /data}
    {{- end }}
  {{- if $v.persistence.enabled }}
  volumes:
  - name: data
    persistentVolumeClaim:
      claimName: {{ .root.Release.Name | quote }}
  {{- end }}
{{- end }}

{{/* The pod template of a job; the argument is a dict of root, image, result and after. */}}
{{- define "app.jobPod" -}}
metadata:
  labels:
    app.kubernetes.io/name: app-job
    app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: {{ .root.Values.terminationGracePeriodSeconds }}
  containers:
  - name: job
    image: {{ .image | default .root.Values.image }}
    imagePullPolicy: {{ .root.Values.imagePullPolicy }}
    args: [job, {{ .result | quote }}, {{ .after | quote }}]
    {{- with .root.Values.env }}
    env:
    {{- range $name, $value := . }}
    - name: {{ $name }}
      value: {{ $value | quote }}
    {{- end }}
    {{- end }}
{{- end }}
