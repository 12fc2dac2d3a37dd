package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"fairlead.dev/fairlead/api/v1alpha1"
	"fairlead.dev/fairlead/internal/wrapper"
)

type rolloutWatchOptions struct {
	streams  Streams
	cluster  rolloutFlags
	progress word[wrapper.ProgressMode]
	timeout  time.Duration
	version  string
	now      func() time.Time
	interval time.Duration
}

func (o *rolloutWatchOptions) bind(cmd *cobra.Command) {
	o.cluster.bind(cmd)
	cmd.Flags().Var(&o.progress, "progress", "how changes are shown, on stderr: `auto|tty|plain|none`")
	cmd.Flags().StringVar(&o.version, "canary-version", "", "wait for the rollout of this version: an earlier one's end does not count")
}

func (o *rolloutWatchOptions) check() error {
	if err := (wrapper.Config{Progress: wrapper.ProgressMode(o.progress)}).Validate(); err != nil {
		return err
	}
	if o.timeout < 0 {
		return fmt.Errorf("--timeout %s: want a duration of 0 or more", o.timeout)
	}
	return nil
}

func newRolloutWatchCommand(s Streams) *cobra.Command {
	o := rolloutWatchOptions{streams: s, now: time.Now, interval: time.Second}
	cmd := &cobra.Command{
		Use:   "watch NAME",
		Short: "Follow a rollout until it ends",
		Long: `Follow a rollout: a line for each change, and on a terminal a line that moves.

Exit codes: 0 promoted, 2 rolled back, 3 held until a person acts, 1 could not
read it, 130 interrupted.`,
		Example: `  fairlead rollout watch checkout -n shop
  fairlead rollout watch checkout -n shop --progress plain | tee rollout.log`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.check(); err != nil {
				return err
			}
			return runRolloutWatch(cmd.Context(), o, args[0], true)
		},
	}
	o.bind(cmd)
	return cmd
}

func newRolloutWaitCommand(s Streams) *cobra.Command {
	o := rolloutWatchOptions{streams: s, now: time.Now, interval: time.Second, progress: word[wrapper.ProgressMode](wrapper.ProgressNone)}
	cmd := &cobra.Command{
		Use:   "wait NAME",
		Short: "Wait until a rollout ends, for pipelines",
		Long: `Wait until a rollout ends, and exit with how it did:

  0  promoted: stable runs the canary's version
  2  rolled back: stable has all traffic, as before
  3  held until a person acts: at its deadline (onInconclusive: hold), because
     somebody else changes the route, or because stable could not be promoted
  4  --timeout ran out; the rollout goes on
  1  it could not be read

A pause and a missing approval are waited for.`,
		Example: `  fairlead rollout wait checkout -n shop --timeout 45m
  fairlead rollout wait checkout -n shop --canary-version 2.0.0 --progress plain`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := o.check(); err != nil {
				return err
			}
			return runRolloutWatch(cmd.Context(), o, args[0], false)
		},
	}
	o.bind(cmd)
	cmd.Flags().DurationVar(&o.timeout, "timeout", 3*time.Hour, "give up after this time; 0 never does")
	return cmd
}

// patienceWithAPI is for how long the API server may be away while a rollout is
// followed.
const patienceWithAPI = 5 * time.Minute

func runRolloutWatch(ctx context.Context, o rolloutWatchOptions, name string, toOut bool) error {
	c, err := o.cluster.open()
	if err != nil {
		return err
	}
	if o.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.timeout)
		defer cancel()
	}
	out := o.streams.Err
	if toOut {
		out = o.streams.Out
	}
	p := newRolloutProgress(out, wrapper.ProgressMode(o.progress), o.now)
	defer p.done()
	var away time.Time
	for {
		cr, err := c.get(ctx, name)
		switch {
		case ctx.Err() != nil:
		case err != nil && away.IsZero() && !unreachable(err):
			return err
		case err != nil:
			if away.IsZero() {
				away = o.now()
				fmt.Fprintf(o.streams.Err, "could not ask: %v\n", err)
			}
			if o.now().Sub(away) > patienceWithAPI {
				return err
			}
		default:
			away = time.Time{}
			p.show(cr)
			if code, done := outcome(cr); done && (o.version == "" || cr.Status.CanaryVersion == o.version) {
				p.done()
				return o.end(cr, code)
			}
		}
		if ctx.Err() != nil || !sleep(ctx, o.interval) {
			if errors.Is(ctx.Err(), context.DeadlineExceeded) {
				return &CodeError{Code: ExitTimeout, Err: fmt.Errorf("rollout %s/%s has not ended within --timeout %s; it goes on", c.namespace, name, o.timeout)}
			}
			return Exit(ExitInterrupted)
		}
	}
}

// unreachable reports whether asking again may help.
func unreachable(err error) bool {
	text := err.Error()
	for _, sign := range []string{"connection refused", "connection reset", "timeout", "EOF", "etcdserver", "too many requests", "unavailable"} {
		if strings.Contains(text, sign) {
			return true
		}
	}
	return false
}

// end says how it ended where no progress was shown, and returns the exit code.
func (o *rolloutWatchOptions) end(cr *v1alpha1.CanaryRelease, code int) error {
	if wrapper.ProgressMode(o.progress) == wrapper.ProgressNone {
		fmt.Fprintf(o.streams.Err, "%s %s/%s: %s\n", phaseMark(cr), cr.Namespace, cr.Name, nameOr(messageOf(cr), cr.Status.Phase))
	}
	if code == ExitOK {
		return nil
	}
	return Exit(code)
}

// rolloutProgress prints a line for each change of a rollout, and on a terminal
// one that moves in between.
type rolloutProgress struct {
	out   io.Writer
	tty   bool
	color bool
	none  bool
	now   func() time.Time
	last  string
	moved bool // a moving line stands
}

func newRolloutProgress(out io.Writer, mode wrapper.ProgressMode, now func() time.Time) *rolloutProgress {
	terminal := isTerminal(out)
	p := &rolloutProgress{out: out, now: now, none: mode == wrapper.ProgressNone}
	p.tty = mode == wrapper.ProgressTTY || terminal && mode != wrapper.ProgressPlain
	p.color = terminal && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
	return p
}

// show prints what is new.
func (p *rolloutProgress) show(cr *v1alpha1.CanaryRelease) {
	if p.none || cr.Status.Phase == "" && messageOf(cr) == "" {
		return
	}
	key := changeKey(cr)
	if key != p.last {
		p.clear()
		fmt.Fprintln(p.out, p.line(cr))
		p.last = key
		return
	}
	if p.tty {
		p.clear()
		line := p.line(cr)
		if columns := width(p.out); len([]rune(line)) > columns-1 {
			line = string([]rune(line)[:columns-2]) + "…"
		}
		fmt.Fprint(p.out, line)
		p.moved = true
	}
}

// changeKey differs when a line is worth printing: not for each look.
func changeKey(cr *v1alpha1.CanaryRelease) string {
	s := &cr.Status
	message := ""
	if s.Reason != "Gate" {
		message = messageOf(cr)
	}
	return strings.Join([]string{s.RolloutID, s.Phase, s.Step, percentText(s.Weight), s.Reason, decisionOf(cr), message}, "\x00")
}

func (p *rolloutProgress) clear() {
	if p.moved {
		fmt.Fprint(p.out, "\r\x1b[K")
		p.moved = false
	}
}

// done ends the moving line.
func (p *rolloutProgress) done() { p.clear() }

func (p *rolloutProgress) line(cr *v1alpha1.CanaryRelease) string {
	s := &cr.Status
	mark := phaseMark(cr)
	if p.color {
		mark = phaseColor(cr) + mark + "\x1b[0m"
	}
	parts := []string{p.now().UTC().Format("15:04:05"), mark, cr.Name, nameOr(s.Phase, "Idle")}
	if s.Step != "" {
		parts = append(parts, "step "+s.Step)
	}
	if w := percentText(s.Weight); w != "" {
		parts = append(parts, w)
	}
	line := strings.Join(parts, " ")
	if m := messageOf(cr); m != "" {
		line += ": " + m
	}
	return line
}

// phaseMark is an icon; the word stands beside it.
func phaseMark(cr *v1alpha1.CanaryRelease) string {
	code, done := outcome(cr)
	switch {
	case done && code == ExitOK:
		return "✓"
	case done && code == ExitRollback, cr.Status.Phase == "RollingBack":
		return "✗"
	case done:
		return "!"
	}
	return "…"
}

func phaseColor(cr *v1alpha1.CanaryRelease) string {
	switch phaseMark(cr) {
	case "✓":
		return "\x1b[32m"
	case "✗":
		return "\x1b[31m"
	case "!":
		return "\x1b[33m"
	}
	return "\x1b[36m"
}
