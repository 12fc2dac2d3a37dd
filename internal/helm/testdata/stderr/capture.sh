#!/bin/bash
# Captures what a real Helm writes to stderr when it fails, on a real cluster.
# Usage, inside the test cluster: capture.sh HELM CHART OUT
# CHART is test/charts/app; OUT is the .txt file that classify_test.go reads.
set -u
helm=$1 chart=$2 out=$3
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
ns=capture-$(basename "$out" .txt)
kubectl create namespace "$ns" >/dev/null 2>&1
: >"$out"

# cap CLASS NAME ARGS...: runs helm and appends its stderr under a header. CLASS
# is what classify_test.go expects, "x/y" where Helm 3 and Helm 4 differ.
cap() {
  local class=$1 name=$2 code; shift 2
  "$helm" -n "$ns" "$@" >/dev/null 2>"$work/stderr"; code=$?
  { echo "== $class $name exit=$code"; sed "s|$work|/charts|g" "$work/stderr"; [ -z "$(tail -c1 "$work/stderr")" ] || echo; } >>"$out"
}
# quiet ARGS...: prepares, without a record of it.
quiet() { "$helm" -n "$ns" "$@" >/dev/null 2>&1; }

mini() { # mini NAME <<templates: a chart with one template
  mkdir -p "$work/$1/templates"
  printf 'apiVersion: v2\nname: %s\nversion: 0.1.0\n' "$1" >"$work/$1/Chart.yaml"
  cat >"$work/$1/templates/all.yaml"
}
mini nil <<<'{{ .Values.x.y.z }}'
mini parse <<<'{{ if }}'
mini yaml <<<$'apiVersion: v1\nkind: [x'
mini fail <<<'{{ fail "the database has no name" }}'
mini required <<<'{{ required "image.tag is required" .Values.tag }}'
mini ok <<<$'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ok}'
mini ok3 <<<$'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ok3}'
mini ok2 <<<$'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ok2}\ndata: {a: "{{ .Values.a }}"}'
mini schema <<<$'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: schema}'
echo '{"type":"object","properties":{"port":{"type":"integer"}},"required":["name"]}' >"$work/schema/values.schema.json"
mini nokind <<<$'apiVersion: example.com/v1\nkind: Widget\nmetadata: {name: w}'
mini badfield <<<$'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: Bad_Name}'
mini badtype <<<$'apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec: {replicas: many}'
mini owned <<<$'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: taken}'
mini immutable <<<$'apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: imm}\nspec:\n  selector: {matchLabels: {a: "{{ .Values.a }}"}}\n  template:\n    metadata: {labels: {a: "{{ .Values.a }}"}}\n    spec: {containers: [{name: a, image: fairlead.test/app:v1}]}'
mini quota <<<$'apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec: {containers: [{name: a, image: fairlead.test/app:v1, resources: {requests: {cpu: "1000"}}}]}'
mini dep <<<''
printf 'dependencies:\n- {name: redis, version: 1.0.0, repository: "https://charts.invalid"}\n' >>"$work/dep/Chart.yaml"
mini kubever <<<''; echo 'kubeVersion: ">=9.0.0"' >>"$work/kubever/Chart.yaml"
mini failtest <<<$'apiVersion: v1\nkind: Pod\nmetadata: {name: t, annotations: {helm.sh/hook: test}}\nspec: {restartPolicy: Never, containers: [{name: t, image: fairlead.test/app:v1, args: [job, fail]}]}'
for hook in pre-rollback pre-delete post-upgrade post-install; do
  mini "hook-$hook" <<<$'apiVersion: batch/v1\nkind: Job\nmetadata: {name: h, annotations: {helm.sh/hook: HOOK, helm.sh/hook-delete-policy: before-hook-creation}}\nspec: {backoffLimit: 0, template: {spec: {restartPolicy: Never, containers: [{name: h, image: fairlead.test/app:v1, args: [job, fail]}]}}}'
  sed -i "s/HOOK/$hook/" "$work/hook-$hook/templates/all.yaml"
done
mini failjob <<<$'apiVersion: batch/v1\nkind: Job\nmetadata: {name: j}\nspec: {backoffLimit: 0, template: {spec: {restartPolicy: Never, containers: [{name: j, image: fairlead.test/app:v1, args: [job, fail]}]}}}'

# Templates and values
for c in nil parse yaml fail required; do cap template "install-$c" install t "$work/$c"; done
quiet install base "$work/ok"
cap template upgrade-nil upgrade base "$work/nil"
cap template upgrade-install-nil upgrade --install new "$work/nil"
cap template schema install t "$work/schema" --set port=x
cap template kubeversion install t "$work/kubever"
printf 'a: [1\n' >"$work/broken.yaml"; cap template values-file upgrade base "$work/ok" -f "$work/broken.yaml"
cap template/usage post-renderer upgrade base "$work/ok" --post-renderer /bin/false
# What the API refuses
cap invalid nokind install t "$work/nokind"
cap invalid badname install t "$work/badfield"; quiet uninstall t
cap invalid badtype install t "$work/badtype"; quiet uninstall t
quiet install imm "$work/immutable" --set a=1; cap invalid immutable upgrade imm "$work/immutable" --set a=2
kubectl -n "$ns" create configmap taken >/dev/null; cap ownership other-owner install t "$work/owned"
kubectl -n "$ns" create quota q --hard=pods=0 >/dev/null; cap forbidden quota install t "$work/quota"; quiet uninstall t; kubectl -n "$ns" delete quota q >/dev/null
cap forbidden rbac --kube-as-user nobody install t "$work/ok"
cap forbidden rbac-upgrade --kube-as-user nobody upgrade base "$work/ok"
cap forbidden token --kube-token wrong --kubeconfig /dev/null --kube-apiserver https://127.0.0.1:6443 --kube-insecure-skip-tls-verify upgrade base "$work/ok"
# Releases
cap exists name-in-use install base "$work/ok"
cap not_found upgrade upgrade nothing "$work/ok"
cap not_found rollback rollback nothing 1
cap not_found rollback-revision rollback base 9
cap not_found uninstall uninstall nothing
cap not_found test test nothing
cap not_found namespace -n no-such-namespace install t "$work/ok"
# Helm 4 only: another manager owns a field (Helm 3 takes it over)
quiet install base2 "$work/ok2"; kubectl -n "$ns" create configmap ok2 --from-literal=a=2 --dry-run=client -o yaml | kubectl -n "$ns" apply --server-side --force-conflicts -f - >/dev/null 2>&1
cap none/ownership field-conflict upgrade base2 "$work/ok2" --set a=3
# Charts
cap chart_fetch dependency install t "$work/dep"
cap chart_fetch path install t ./no/such/chart
mkdir "$work/empty"; cap chart_fetch no-chart-yaml install t "$work/empty"
cap chart_fetch repo-name install t nowhere/chart
cap chart_fetch repo-url install t chart --repo http://127.0.0.1:1/
cap chart_fetch oci install t oci://127.0.0.1:1/chart
cap chart_fetch url install t http://127.0.0.1:1/chart.tgz
cap chart_fetch url-404 install t http://127.0.0.1:6443/chart.tgz
echo no >"$work/no.tgz"; cap chart_fetch no-archive install t "$work/no.tgz"
# The command line
cap usage arguments upgrade t
cap usage flag upgrade t "$work/ok" --wiat
cap usage shorthand upgrade t "$work/ok" -Z
cap usage timeout upgrade t "$work/ok" --timeout 5
cap usage needs-argument upgrade t "$work/ok" --timeout
cap usage wait upgrade t "$work/ok" --wait=maybe
cap usage dry-run upgrade t "$work/ok" --dry-run=maybe
cap usage output upgrade t "$work/ok" -o xml
cap usage no-name install "$work/ok"
cap usage two-names install -g t "$work/ok"
cap usage bad-name install Not_A_Name "$work/ok"
cap usage set upgrade t "$work/ok" --set a
cap usage values-missing upgrade t "$work/ok" -f missing.yaml
cap usage revision rollback t x
cap usage cascade uninstall t --cascade=x
# No cluster
cap unreachable refused --kube-apiserver http://127.0.0.1:1 upgrade t "$work/ok"
cap unreachable context --kube-context nowhere upgrade t "$work/ok"
cap unreachable kubeconfig --kubeconfig /nowhere upgrade t "$work/ok"
cap unreachable lookup --kube-apiserver https://host.invalid install t "$work/ok"
cap unreachable certificate --kubeconfig /dev/null --kube-apiserver https://127.0.0.1:6443 upgrade t "$work/ok"
# Hooks
cap hook pre-install install h1 "$chart" --set hook.enabled=true,hook.result=fail; quiet uninstall h1
cap hook pre-install-timeout install h1 "$chart" --set hook.enabled=true,hook.after=60s --timeout 3s; quiet uninstall h1
quiet install h2 "$work/ok3"; cap hook post-upgrade upgrade h2 "$work/hook-post-upgrade"; quiet uninstall h2
cap hook post-install install h3 "$work/hook-post-install"; quiet uninstall h3
quiet install h4 "$work/hook-pre-rollback"; quiet upgrade h4 "$work/hook-pre-rollback"; cap hook pre-rollback rollback h4 1; quiet uninstall h4 --no-hooks
quiet install h5 "$work/hook-pre-delete"; cap hook pre-delete uninstall h5; quiet uninstall h5 --no-hooks
quiet install h6 "$work/failtest"; cap hook test test h6; quiet uninstall h6
# Waiting
slow="--set env.READY_AFTER=60s --timeout 4s"
cap timeout/not_ready install-unready install w "$chart" --wait $slow
quiet uninstall w --wait; quiet install w "$chart" --wait
cap timeout/not_ready upgrade-unready upgrade w "$chart" --wait $slow
cap timeout/not_ready upgrade-bad-image upgrade w "$chart" --wait --set image=fairlead.test/nope:v1 --timeout 4s
cap timeout/not_ready upgrade-crash upgrade w "$chart" --wait --set env.CRASH_AFTER=0s --timeout 4s
cap rolled_back upgrade-atomic upgrade w "$chart" --atomic $slow
cap rolled_back install-atomic install w2 "$chart" --atomic $slow
cap timeout/not_ready rollback-unready rollback w 2 --wait --timeout 4s
cap usage/timeout upgrade-legacy upgrade w "$chart" --wait=legacy $slow
cap timeout upgrade-timeout-1ms upgrade w "$chart" --wait --timeout 1ms
cap timeout/not_ready failed-job install j "$work/failjob" --wait --wait-for-jobs --timeout 5s
# The lock
quiet uninstall w --wait; quiet install w "$chart" --wait
"$helm" -n "$ns" upgrade w "$chart" --wait --set env.READY_AFTER=60s --timeout 30s >/dev/null 2>&1 & pid=$!
until kubectl -n "$ns" get secret sh.helm.release.v1.w.v2 >/dev/null 2>&1; do sleep 0.1; done
cap lock upgrade upgrade w "$chart"
kill -9 $pid; wait $pid 2>/dev/null
cap lock upgrade-after-kill upgrade w "$chart"
cap lock upgrade-install-after-kill upgrade --install w "$chart"
# Helm lets a rollback and an uninstall through: that is how the lock is freed.
cap none rollback-frees-the-lock rollback w 1
cap none upgrade-after-rollback upgrade w "$chart"
# Two first installs at once: the second finds the record of the first.
"$helm" -n "$ns" install twin "$chart" --wait --set env.READY_AFTER=60s --timeout 4s >/dev/null 2>&1 & pid=$!
until kubectl -n "$ns" get secret sh.helm.release.v1.twin.v1 >/dev/null 2>&1; do sleep 0.1; done
cap exists install-while-installing install twin "$chart"
cap lock upgrade-install-while-installing upgrade --install twin "$chart"
wait $pid
# Cancelled
for s in INT TERM; do
  quiet rollback w 1; quiet rollback w 1
  "$helm" -n "$ns" upgrade w "$chart" --wait --set env.READY_AFTER=60s --timeout 30s >/dev/null 2>"$work/stderr" & pid=$!
  sleep 2; kill -$s $pid; wait $pid; code=$?
  { echo "== cancelled upgrade-$s exit=$code"; cat "$work/stderr"; } >>"$out"
done
"$helm" -n "$ns" upgrade w "$chart" --wait --set env.READY_AFTER=60s --timeout 30s >/dev/null 2>"$work/stderr" & pid=$!
sleep 2; kill -KILL $pid; wait $pid 2>/dev/null; code=$?
{ echo "== cancelled upgrade-KILL exit=$code"; cat "$work/stderr"; } >>"$out"
kubectl delete namespace "$ns" --wait=false >/dev/null
