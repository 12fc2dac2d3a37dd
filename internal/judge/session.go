package judge

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"time"

	"fairlead.dev/fairlead/internal/analysis"
)

const (
	// lookback is how long before an interval samples are read, so that every
	// series has a value to start from: Prometheus' own staleness. With less, a
	// series that is exported every minute would seem to be new at each look.
	lookback = 5 * time.Minute
	// chunk is how much is fetched at once, which bounds memory: an hour of a
	// large service is hundreds of megabytes.
	chunk = 10 * time.Minute
)

// Session is the fold of one rollout, fed by a source. It is not safe for
// concurrent use.
type Session struct {
	source analysis.Source
	config analysis.Config
	tracks [2]analysis.Selector
	start  time.Time
	judge  *analysis.Judge
	frozen analysis.Frozen
	next   time.Time // end of what was fetched
	notes  []string
}

// Open reads the stable track's history before start and freezes what must not
// depend on the canary. The configuration's scrape interval grows to that of
// the samples, where they are rarer; Config tells. start is when the canary
// first got traffic; all intervals are counted from it, so that whoever folds
// the same samples again gets the same evidence.
func Open(ctx context.Context, source analysis.Source, config analysis.Config, subject Subject, start time.Time) (*Session, error) {
	tracks, err := subject.Tracks()
	if err != nil {
		return nil, err
	}
	s := &Session{source: source, config: config, tracks: tracks, start: start, next: start}
	if err := s.fitScrapeInterval(ctx); err != nil {
		return nil, err
	}
	past, seen, queries, err := s.history(ctx)
	if err != nil {
		return nil, err
	}
	h := analysis.History{ErrorsEverSeen: seen}
	if len(past) > 0 {
		h.Intervals = func(yield func(*analysis.Interval) bool) {
			for i := range past {
				if !yield(&past[i]) {
					return
				}
			}
		}
	}
	if s.frozen, err = analysis.Freeze(s.config, h); err != nil {
		return nil, err
	}
	s.judge, err = analysis.New(s.config, s.frozen, analysis.Options{Queries: queries})
	return s, err
}

// Resume is Open for a rollout whose parameters were frozen before, after a
// restart: config is what [Session.Config] was then. Nothing of the past is
// read again, so that what is folded leads to the same evidence.
func Resume(ctx context.Context, source analysis.Source, config analysis.Config, subject Subject, start time.Time, frozen analysis.Frozen) (*Session, error) {
	tracks, err := subject.Tracks()
	if err != nil {
		return nil, err
	}
	s := &Session{source: source, config: config, tracks: tracks, start: start, next: start, frozen: frozen}
	_, samples, err := s.fetch(ctx, start.Add(-time.Duration(config.ScrapeInterval)), start, false)
	if err != nil {
		return nil, err
	}
	s.judge, err = analysis.New(config, frozen, analysis.Options{Queries: samples.Queries})
	return s, err
}

// Config is the configuration in force.
func (s *Session) Config() analysis.Config { return s.config }

// Frozen is what was chosen from the history.
func (s *Session) Frozen() analysis.Frozen { return s.frozen }

// Judge is the fold; Begin its steps, Add what Intervals returns.
func (s *Session) Judge() *analysis.Judge { return s.judge }

// Notes are the server's remarks, each once.
func (s *Session) Notes() []string { return s.notes }

// Intervals fetches the whole intervals since the last call that end at or
// before to. An error ends it; what was not yielded is fetched again by the
// next call.
func (s *Session) Intervals(ctx context.Context, to time.Time) iter.Seq2[*analysis.Interval, error] {
	step := time.Duration(s.config.ScrapeInterval)
	return func(yield func(*analysis.Interval, error) bool) {
		for {
			until := s.start.Add(to.Sub(s.start) / step * step)
			if most := s.next.Add(chunk / step * step); until.After(most) {
				until = most
			}
			if !until.After(s.next) {
				return
			}
			intervals, _, err := s.fetch(ctx, s.next, until, false)
			if err != nil {
				yield(nil, err)
				return
			}
			for i := range intervals {
				s.next = intervals[i].End
				if !yield(&intervals[i], nil) {
					return
				}
			}
		}
	}
}

// Follow folds everything up to to.
func (s *Session) Follow(ctx context.Context, to time.Time) error {
	for iv, err := range s.Intervals(ctx, to) {
		if err == nil {
			err = s.judge.Add(iv)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Session) fetch(ctx context.Context, from, to time.Time, stableOnly bool) ([]analysis.Interval, analysis.Samples, error) {
	samples, err := s.source.Fetch(ctx, analysis.Query{
		From: from, To: to, Lookback: max(lookback, 4*time.Duration(s.config.ScrapeInterval)),
		Config: &s.config, Tracks: s.tracks, StableOnly: stableOnly,
	})
	if err != nil {
		return nil, samples, err
	}
	for _, note := range samples.Warnings {
		if len(s.notes) < maxNotes && !slices.Contains(s.notes, note) {
			s.notes = append(s.notes, note)
		}
	}
	intervals, err := analysis.Assemble(samples.Series, from, to, time.Duration(s.config.ScrapeInterval))
	return intervals, samples, err
}

// maxNotes bounds what a server may have remembered of its remarks.
const maxNotes = 20

// history returns the stable track's intervals before the start, without those
// before its first sample.
func (s *Session) history(ctx context.Context) (past []analysis.Interval, errorsSeen bool, queries map[string]string, err error) {
	step := time.Duration(s.config.ScrapeInterval)
	from := s.start.Add(-time.Duration(s.config.History) / step * step)
	for at := from; at.Before(s.start); {
		until := at.Add(chunk / step * step)
		if until.After(s.start) {
			until = s.start
		}
		intervals, samples, err := s.fetch(ctx, at, until, true)
		if err != nil {
			return nil, false, nil, fmt.Errorf("read the stable track's history: %w", err)
		}
		errorsSeen = errorsSeen || samples.ErrorsEverSeen
		past = append(past, intervals...)
		at = until
	}
	first := slices.IndexFunc(past, func(iv analysis.Interval) bool { return len(iv.Cells) > 0 })
	if first < 0 {
		past = nil
	} else {
		past = past[first:]
	}
	// The queries that people see are those of both tracks.
	_, samples, err := s.fetch(ctx, s.start.Add(-step), s.start, false)
	if err != nil {
		return nil, false, nil, err
	}
	return past, errorsSeen || samples.ErrorsEverSeen, samples.Queries, nil
}

// fitScrapeInterval raises the scrape interval to what the samples show:
// intervals without a sample in them would look like a track that is missing.
func (s *Session) fitScrapeInterval(ctx context.Context) error {
	samples, err := s.source.Fetch(ctx, analysis.Query{
		From: s.start.Add(-lookback), To: s.start.Add(lookback), Config: &s.config, Tracks: s.tracks,
	})
	if err != nil {
		return err
	}
	var gaps []time.Duration
	for _, one := range samples.Series {
		if one.Kind&analysis.KindRequests == 0 {
			continue
		}
		for i := 1; i < len(one.Points); i++ {
			gaps = append(gaps, one.Points[i].T.Sub(one.Points[i-1].T))
		}
	}
	if len(gaps) < 3 {
		return nil
	}
	slices.Sort(gaps)
	typical := gaps[len(gaps)/2].Round(time.Second)
	// A little more than configured is jitter.
	if have := time.Duration(s.config.ScrapeInterval); typical > have+have/4 {
		s.config.ScrapeInterval = analysis.Duration(typical)
		if time.Duration(s.config.Window) < typical {
			s.config.Window = analysis.Duration(typical)
		}
	}
	return s.config.Validate()
}

// Collect returns all intervals up to to, without folding them.
func (s *Session) Collect(ctx context.Context, to time.Time) ([]analysis.Interval, error) {
	var all []analysis.Interval
	for iv, err := range s.Intervals(ctx, to) {
		if err != nil {
			return nil, err
		}
		all = append(all, *iv)
	}
	return all, nil
}

// Rejudge returns a judge without samples of the same frozen parameters and
// another rule, to set beside this one.
func (s *Session) Rejudge(rule analysis.Rule) (*analysis.Judge, error) {
	config := s.config
	config.Rule = rule
	return analysis.New(config, s.frozen, analysis.Options{})
}
