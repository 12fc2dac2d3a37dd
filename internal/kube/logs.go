package kube

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"fairlead.dev/fairlead/internal/release"
)

// maxLineLength cuts single lines: a line of a megabyte of JSON tells no more
// than its beginning.
const maxLineLength = 1000

// logTail reads the redacted end of a container's log. With previous it is that
// of the run before the present one.
func (c *Client) logTail(ctx context.Context, ns, pod, container string, previous bool, opts SnapshotOptions) (release.LogTail, error) {
	out := release.LogTail{Pod: pod, Container: container, Previous: previous}
	lines := int64(opts.MaxLines) + 1 // one more tells whether there are more
	stream, err := c.typed.CoreV1().Pods(ns).GetLogs(pod, &corev1.PodLogOptions{
		Container: container, Previous: previous, TailLines: &lines,
	}).Stream(ctx)
	if err != nil {
		return out, fmt.Errorf("read the log of container %s of pod %s: %w", container, pod, err)
	}
	defer stream.Close()
	// The tail by lines may still be long. Reading sixteen times what is kept
	// bounds it; what lies beyond is newer, yet unreadable amounts of text.
	data, err := io.ReadAll(io.LimitReader(stream, int64(opts.MaxLogBytes)*16))
	if err != nil && len(data) == 0 {
		return out, fmt.Errorf("read the log of container %s of pod %s: %w", container, pod, err)
	}
	if removed(data) {
		return out, fmt.Errorf("read the log of container %s of pod %s: it has been removed", container, pod)
	}
	out.Lines, out.Truncated = tailLines(data, opts)
	return out, nil
}

// removed reports whether the node says, in place of a log, that it has none: the
// kubelet tells that as text, with success.
func removed(data []byte) bool {
	return bytes.HasPrefix(data, []byte("failed to try resolving symlinks in path ")) ||
		bytes.HasPrefix(data, []byte("unable to retrieve container logs for "))
}

// tailLines returns the last lines within the limits, redacted.
func tailLines(data []byte, opts SnapshotOptions) (lines []string, truncated bool) {
	text := strings.ToValidUTF8(string(bytes.TrimRight(data, "\n")), "�")
	if text == "" {
		return nil, false
	}
	// Redaction sees the whole: a key in a PEM block spans lines.
	if opts.Redact != nil {
		text = opts.Redact(text)
	}
	all := strings.Split(text, "\n")
	size := 0
	for _, line := range slices.Backward(all) {
		line = strings.TrimRight(line, "\r")
		if len(line) > maxLineLength {
			line = strings.ToValidUTF8(line[:maxLineLength], "") + "…"
		}
		if len(lines) == opts.MaxLines || size+len(line) > opts.MaxLogBytes {
			truncated = true
			break
		}
		size += len(line) + 1
		lines = append(lines, line)
	}
	slices.Reverse(lines)
	return lines, truncated
}

// logKeeper keeps the log tails of containers at the moment that they fail,
// for a rollback or a hook's delete policy may remove them right after. Its
// watch's mutex guards it.
type logKeeper struct {
	byKey map[string]*keptLog
	order []string
}

type keptLog struct {
	restarts int32
	reads    int
	tail     release.LogTail
}

// Limits of a logKeeper: of each container the first failure and one later are
// read, of one release at most so many, so that the number of requests does not
// depend on the number of pods.
const (
	keptReads      = 2
	keptContainers = 8
)

// wants reports whether this failure of a container is to be read, and counts it.
func (k *logKeeper) wants(uid, container string, restarts int32) bool {
	key := uid + "/" + container
	e := k.byKey[key]
	if e == nil {
		if len(k.byKey) >= keptContainers {
			return false
		}
		e = &keptLog{restarts: -1}
		k.byKey[key] = e
		k.order = append(k.order, key)
	}
	if e.reads >= keptReads || e.restarts == restarts {
		return false
	}
	e.reads++
	e.restarts = restarts
	return true
}

func (k *logKeeper) tails() []release.LogTail {
	var out []release.LogTail
	for _, key := range k.order {
		if e := k.byKey[key]; len(e.tail.Lines) > 0 {
			out = append(out, e.tail)
		}
	}
	return out
}

// keepLogs reads the logs of containers that just failed. The caller holds the mutex.
func (w *Watch) keepLogs(t *track, p release.Pod) {
	if !p.Deleting.IsZero() {
		return // told to end
	}
	for _, c := range slices.Concat(p.Init, p.Containers) {
		ended := c.Exit != nil && (c.Exit.ExitCode != 0 || c.Exit.Signal != 0)
		if !ended {
			continue
		}
		if t.logs == nil {
			t.logs = &logKeeper{byKey: make(map[string]*keptLog)}
		}
		keeper := t.logs
		if !keeper.wants(p.UID, c.Name, c.Restarts) {
			continue
		}
		opts := w.opts.Snapshot.withDefaults()
		w.wg.Go(func() {
			ctx, cancel := context.WithTimeout(w.ctx, opts.Timeout)
			defer cancel()
			tail, err := w.client.logTail(ctx, p.Namespace, p.Name, c.Name, false, opts)
			if err != nil {
				if !errors.Is(err, context.Canceled) {
					w.report("pods/log", reason(err))
				}
				return
			}
			if len(tail.Lines) == 0 {
				return
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			keeper.byKey[p.UID+"/"+c.Name].tail = tail
		})
	}
}
