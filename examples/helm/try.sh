#!/usr/bin/env bash
# A release that goes well, and an upgrade of it that does not, through
# `fairlead helm`. `make try` runs it on the test bed's cluster, or on yours
# when KUBECONFIG is set.
set -euo pipefail
cd "$(dirname "$0")/../.."

fairlead=$PWD/bin/fairlead
chart=test/charts/app
broken=(-f examples/helm/broken.yaml)
values=()
if [ -n "${FAIRLEAD_TEST_HELM4:-}" ]; then
  export FAIRLEAD_HELM_BIN=$FAIRLEAD_TEST_HELM4
else
  # Your cluster: an image that it can pull, and an upgrade to one that nobody has.
  values=(--set image="${TRY_IMAGE:-registry.k8s.io/pause:3.10}" --set readinessProbe=null)
  broken=(--set image="${TRY_IMAGE:-registry.k8s.io/pause}-no-such-image:1" --set readinessProbe=null)
fi

data=$(mktemp -d)
"$fairlead" server --data "$data" >"$data/server.log" 2>&1 &
server=$!
cleanup() {
  "$fairlead" helm uninstall try >/dev/null 2>&1 || true
  kill "$server" 2>/dev/null || true
  wait "$server" 2>/dev/null || true
  rm -rf "$data"
}
trap cleanup EXIT
for _ in $(seq 100); do grep -q ready "$data/server.log" && break; sleep 0.1; done

say() { printf '\n$ %s\n' "$*"; }

say fairlead --print-trace helm install try $chart --wait
"$fairlead" --print-trace helm install try $chart --wait --timeout 2m "${values[@]}"

say fairlead --auto-rollback --print-trace helm upgrade try $chart --wait --timeout 20s "${broken[@]}"
if "$fairlead" --auto-rollback --print-trace helm upgrade try $chart --wait --timeout 20s "${broken[@]}"; then
  echo "the upgrade was to fail and did not" >&2
  exit 1
fi

say fairlead releases
"$fairlead" releases
say fairlead release try
"$fairlead" release try
