package judge

import (
	"errors"
	"fmt"

	"fairlead.dev/fairlead/internal/analysis"
)

// Subject says whose canary is judged, and how its series are told from the
// stable ones: by version where two different ones are given, otherwise by the
// label of the track.
type Subject struct {
	Service       string
	CanaryVersion string
	StableVersion string
	// Canary and Stable are equalities on other labels, k8s_namespace_name for
	// example.
	Canary map[string]string
	Stable map[string]string
}

// Tracks returns the selectors of both tracks.
func (s Subject) Tracks() ([2]analysis.Selector, error) {
	var tracks [2]analysis.Selector
	if s.Service == "" {
		return tracks, errors.New("service: the value of service.name is missing")
	}
	if (s.CanaryVersion == "") != (s.StableVersion == "") {
		return tracks, fmt.Errorf("versions: canary %q and stable %q: give both, or none to tell them apart by track", s.CanaryVersion, s.StableVersion)
	}
	canary := analysis.Selector{Service: s.Service, Extra: s.Canary}
	stable := analysis.Selector{Service: s.Service, Extra: s.Stable}
	if s.CanaryVersion != s.StableVersion {
		canary.Version, stable.Version = s.CanaryVersion, s.StableVersion
	} else {
		canary.Track, stable.Track = analysis.Canary.String(), analysis.Stable.String()
	}
	tracks[analysis.Canary], tracks[analysis.Stable] = canary, stable
	return tracks, nil
}
