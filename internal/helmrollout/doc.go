// Package helmrollout rolls out a chart that is installed twice: a stable and a
// canary release. It upgrades the canary release, has the rollout driven, by
// itself or by the controller that owns the CanaryRelease, promotes by upgrading
// the stable release, and takes the canary away. [Run] is the whole of it; [Lint]
// looks beforehand at what the two releases would do to each other.
//
// What a run must remember is a CanaryRelease in the cluster, or, where there is
// none of that name, a ConfigMap: [Store] makes both look the same.
package helmrollout
