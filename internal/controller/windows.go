package controller

import (
	"fmt"
	"slices"
	"time"

	"fairlead.dev/fairlead/api/v1alpha1"
)

// inWindow reports whether weight may rise now. No windows is always.
func inWindow(windows []v1alpha1.Window, now time.Time) (bool, error) {
	open := len(windows) == 0
	for i, w := range windows {
		zone, err := time.LoadLocation(w.TimeZone)
		if err != nil {
			return false, fmt.Errorf("spec.windows[%d].timeZone: %q: no such time zone; want a name such as Europe/Oslo", i, w.TimeZone)
		}
		local := now.In(zone)
		day, clock := local.Format("Mon"), local.Format("15:04")
		if (len(w.Days) == 0 || slices.Contains(w.Days, day)) && w.From <= clock && clock < w.To {
			open = true
		}
	}
	return open, nil
}
