#!/usr/bin/env bash
# Runs the end-to-end tests on a cluster of their own (or KUBECONFIG's). What
# fails is run once more, alone and on a new cluster: a machine of two cores that
# carries a whole Kubernetes is now and then too slow for a test. A test that
# fails twice fails the run; one that passes the second time is named at the end.
#
# Usage: test/e2e/run.sh [FLAGS OF THE TEST BINARY...], after `make e2e` has built everything
set -uo pipefail
cd "$(dirname "$0")"
log=../../bin/e2e.log
on_cluster() { ../../bin/cluster run --image fairlead:test=../../bin/fairlead -- ../../bin/e2e.test -test.v "$@"; }

on_cluster "$@" 2>&1 | tee "$log"
code=${PIPESTATUS[0]}
[ "$code" != 77 ] || exit 0 # no cluster can be started here, which was said
[ "$code" != 0 ] || exit 0
failed=$(sed -nE 's/^--- FAIL: (Test[A-Za-z0-9_]+).*/\1/p' "$log" | sort -u | paste -sd '|' -)
if [ -z "$failed" ]; then
	echo "e2e: failed with $code before a test could be blamed"
	exit "$code"
fi
echo "e2e: failed: ${failed//|/, }. Once more, alone:"
on_cluster -test.run "^($failed)\$" || exit $?
echo "e2e: PASSED ONLY WHEN RUN AGAIN: ${failed//|/, }"
