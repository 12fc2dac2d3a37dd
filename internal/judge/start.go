package judge

import (
	"context"
	"slices"
	"time"

	"fairlead.dev/fairlead/internal/analysis"
)

// pause is how long a canary's series must be gone for what comes after it to be
// another canary: of the same version, tried again, for example.
const pause = 10 * time.Minute

// Longest is how far back a canary's life is looked for: further back retention
// has seldom kept raw samples, and nobody's gate is that long.
const Longest = 24 * time.Hour

// NewestStart is CanaryStart for a canary that runs now: it looks an hour back,
// and further only where the canary is older.
func NewestStart(ctx context.Context, source analysis.Source, config analysis.Config, subject Subject, now time.Time) (start time.Time, found bool, err error) {
	for _, back := range []time.Duration{time.Hour, 6 * time.Hour, Longest} {
		from := now.Add(-back)
		start, found, err = CanaryStart(ctx, source, config, subject, from, now)
		if err != nil || !found || start.Sub(from) > 2*time.Duration(config.ScrapeInterval) {
			return start, found, err
		}
	}
	return start, found, nil
}

// CanaryStart finds when the newest canary between from and to first had
// requests: the sample before the first increase, or the interval before the
// first sample. found is false when there is none.
func CanaryStart(ctx context.Context, source analysis.Source, config analysis.Config, subject Subject, from, to time.Time) (start time.Time, found bool, err error) {
	tracks, err := subject.Tracks()
	if err != nil {
		return start, false, err
	}
	samples, err := source.Fetch(ctx, analysis.Query{From: from.Add(-time.Millisecond), To: to, Config: &config, Tracks: tracks})
	if err != nil {
		return start, false, err
	}
	series := slices.DeleteFunc(samples.Series, func(s analysis.Series) bool {
		return s.Track != analysis.Canary || s.Kind&analysis.KindRequests == 0
	})
	began := newestRun(series)
	for _, s := range series {
		at, ok := firstIncrease(s.Points, began, time.Duration(config.ScrapeInterval))
		if ok && (!found || at.Before(start)) {
			start, found = at, true
		}
	}
	return start, found, nil
}

// newestRun is the first sample of the newest stretch without a pause.
func newestRun(series []analysis.Series) time.Time {
	var times []time.Time
	for _, s := range series {
		for _, p := range s.Points {
			times = append(times, p.T)
		}
	}
	slices.SortFunc(times, time.Time.Compare)
	var began time.Time
	for i, t := range times {
		if i == 0 || t.Sub(times[i-1]) > pause {
			began = t
		}
	}
	return began
}

func firstIncrease(points []analysis.Point, began time.Time, interval time.Duration) (time.Time, bool) {
	for i, p := range points {
		switch {
		case p.T.Before(began) || !(p.V > 0):
		case i == 0 || points[i-1].T.Before(began):
			return p.T.Add(-interval), true
		case p.V != points[i-1].V:
			return points[i-1].T, true
		}
	}
	return time.Time{}, false
}
