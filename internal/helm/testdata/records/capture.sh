#!/bin/bash
# Captures release records that a real Helm wrote on a real cluster.
# Usage, inside the test cluster: capture.sh HELM PREFIX DIR
set -u
helm=$1 prefix=$2 dir=$3
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
ns=records-$prefix
kubectl create namespace "$ns" >/dev/null
mkdir -p "$work/c/templates"
printf 'apiVersion: v2\nname: sample\nversion: 1.2.3\nappVersion: "7"\n' >"$work/c/Chart.yaml"
cat >"$work/c/templates/all.yaml" <<'YAML'
apiVersion: v1
kind: Secret
metadata:
  name: {{ .Release.Name }}
stringData: {password: {{ .Values.password | default "none" | quote }}}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}
  labels: {app: a}
spec:
  replicas: 0
  selector: {matchLabels: {app: a}}
  template:
    metadata: {labels: {app: a}, name: not-this}
    spec: {containers: [{name: a, image: "fairlead.test/app:v1"}]}
---
apiVersion: batch/v1
kind: Job
metadata:
  name: {{ .Release.Name }}-hook
  annotations: {helm.sh/hook: "pre-upgrade,pre-rollback", helm.sh/hook-weight: "-1", helm.sh/hook-delete-policy: before-hook-creation}
spec:
  backoffLimit: 0
  template: {spec: {restartPolicy: Never, containers: [{name: h, image: "fairlead.test/app:v1", args: [job, {{ .Values.job | default "ok" }}]}]}}
YAML
run() { "$helm" -n "$ns" "$@" >/dev/null 2>&1; }
save() { kubectl -n "$ns" get secret "sh.helm.release.v1.web.v$1" -o 'jsonpath={.data.release}' | base64 -d >"$dir/$prefix-$2.b64"; }
run install web "$work/c"; save 1 deployed-no-hooks-yet
run upgrade web "$work/c" --set password=hunter2hunter2; save 1 superseded; save 2 deployed
run upgrade web "$work/c" --set job=fail; save 3 failed-hook
run rollback web 1; save 4 rollback
run uninstall web --keep-history; save 4 uninstalled
kubectl delete namespace "$ns" --wait=false >/dev/null
