package helm

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/gzip"
)

// Record is what Helm stored about one revision of a release, without values,
// chart contents and rendered manifests, which may hold secrets. The labels that
// users gave are on the Secret itself, not in its record.
type Record struct {
	Name      string
	Namespace string
	Revision  int
	// Status is Helm's word: deployed, failed, superseded, uninstalled,
	// uninstalling, pending-install, pending-upgrade, pending-rollback, unknown.
	Status      string
	Description string

	FirstDeployed time.Time
	LastDeployed  time.Time // when the operation that made this revision began
	Deleted       time.Time // zero unless uninstalled

	ChartName, ChartVersion, AppVersion string

	// RollbackRevision is the revision that this one returned to; 0 when it is
	// no rollback, or Helm 3 wrote it (then see [Record.RollbackTarget]).
	RollbackRevision int

	Hooks []Hook
	// Objects are the rendered objects, hooks not among them.
	Objects []Object
	// Truncated is set when there were more than [MaxObjects] objects or hooks.
	Truncated bool
}

// Object names one rendered Kubernetes object.
type Object struct {
	APIVersion string
	Kind       string
	Namespace  string // "" = the release's, or cluster-scoped
	Name       string
}

// Hook is one hook of a release and how it ran last.
type Hook struct {
	Object
	Path   string   // of its template in the chart
	Events []string // pre-install, post-upgrade, test, ...
	Weight int

	Phase     string // Running, Succeeded, Failed, Unknown; "" = never ran
	Started   time.Time
	Completed time.Time
}

// MaxObjects bounds the objects, and the hooks, of one record. A release
// Secret holds 1 MiB at most, so real ones stay far below.
const MaxObjects = 5000

// maxRecord bounds the record's JSON. A Secret holds 1 MiB of base64, and
// charts compress five- to twentyfold; 64 MiB is room for the best of them and
// still decoded within a second. A bomb of that Secret's size would be 1 GiB.
const maxRecord = 64 << 20

// maxText bounds the strings that are kept. Helm bounds descriptions itself
// since version 4; Helm 3's may quote the error of a whole template.
const maxText = 16 << 10

// ErrRecordTooLarge is returned for a record that unpacks to more than 64 MiB.
var ErrRecordTooLarge = errors.New("release record unpacks to more than 64 MiB")

// DecodeRecord decodes the `release` field of a release Secret or ConfigMap:
// base64 of gzip of JSON. What a typed client's Secret.Data holds and what the
// API's JSON holds differ by one layer of base64; both are read, as is a record
// without gzip. It keeps only what [Record] has, and holds only a small window
// of the rest while it reads.
func DecodeRecord(data []byte) (Record, error) {
	r, err := unpack(data)
	if err != nil {
		return Record{}, fmt.Errorf("decode release record: %w", err)
	}
	limited := &limitedReader{r: r, left: maxRecord}
	var rec Record
	err = newJSONScanner(limited).record(&rec)
	switch {
	case limited.exceeded:
		return Record{}, fmt.Errorf("decode release record: %w", ErrRecordTooLarge)
	case err != nil:
		return Record{}, fmt.Errorf("decode release record: %w", err)
	case rec.Name == "":
		return Record{}, errors.New("decode release record: it has no name")
	}
	return rec, nil
}

// unpack takes off the layers around the JSON.
func unpack(data []byte) (io.Reader, error) {
	data = bytes.TrimSpace(data)
	for range 3 {
		switch {
		case len(data) > 2 && data[0] == 0x1f && data[1] == 0x8b:
			return gzip.NewReader(bytes.NewReader(data))
		case len(data) > 0 && data[0] == '{':
			return bytes.NewReader(data), nil
		case len(data) == 0:
			return nil, errors.New("it is empty")
		}
		decoded := make([]byte, base64.StdEncoding.DecodedLen(len(data)))
		n, err := base64.StdEncoding.Decode(decoded, data)
		if err != nil {
			return nil, err
		}
		data = decoded[:n]
	}
	return nil, errors.New("it is neither gzip nor JSON")
}

// limitedReader fails, other than io.LimitReader, when there is more.
type limitedReader struct {
	r        io.Reader
	left     int
	exceeded bool
}

func (l *limitedReader) Read(p []byte) (int, error) {
	if l.left <= 0 {
		l.exceeded = true
		return 0, ErrRecordTooLarge
	}
	n, err := l.r.Read(p[:min(len(p), l.left)])
	l.left -= n
	return n, err
}

func (s *jsonScanner) record(rec *Record) error {
	return s.object(func(key string) (err error) {
		switch key {
		case "name":
			rec.Name, err = s.text(maxText)
		case "namespace":
			rec.Namespace, err = s.text(maxText)
		case "version":
			rec.Revision, err = s.number()
		case "info":
			err = s.info(rec)
		case "chart":
			err = s.object(func(key string) error {
				if key == "metadata" {
					return s.chart(rec)
				}
				return s.skip()
			})
		case "hooks":
			err = s.array(func() error { return s.hook(rec) })
		case "manifest":
			var objects []Object
			objects, err = s.manifest()
			rec.Objects = objects[:min(len(objects), MaxObjects)]
			rec.Truncated = rec.Truncated || len(objects) > MaxObjects
		default:
			err = s.skip()
		}
		return err
	})
}

func (s *jsonScanner) info(rec *Record) error {
	return s.object(func(key string) (err error) {
		switch key {
		case "status":
			rec.Status, err = s.text(maxText)
		case "description":
			rec.Description, err = s.text(maxText)
		case "first_deployed":
			rec.FirstDeployed, err = s.time()
		case "last_deployed":
			rec.LastDeployed, err = s.time()
		case "deleted":
			rec.Deleted, err = s.time()
		case "rollback_revision":
			rec.RollbackRevision, err = s.number()
		default:
			err = s.skip()
		}
		return err
	})
}

func (s *jsonScanner) chart(rec *Record) error {
	return s.object(func(key string) (err error) {
		switch key {
		case "name":
			rec.ChartName, err = s.text(maxText)
		case "version":
			rec.ChartVersion, err = s.text(maxText)
		case "appVersion":
			rec.AppVersion, err = s.text(maxText)
		default:
			err = s.skip()
		}
		return err
	})
}

func (s *jsonScanner) hook(rec *Record) error {
	var h Hook
	var rendered []Object
	err := s.object(func(key string) (err error) {
		switch key {
		case "name":
			h.Name, err = s.text(maxText)
		case "kind":
			h.Kind, err = s.text(maxText)
		case "path":
			h.Path, err = s.text(maxText)
		case "weight":
			h.Weight, err = s.number()
		case "events":
			err = s.array(func() error {
				event, err := s.text(maxText)
				if len(h.Events) < 16 { // there are nine
					h.Events = append(h.Events, event)
				}
				return err
			})
		case "last_run":
			err = s.lastRun(&h)
		case "manifest":
			rendered, err = s.manifest()
		default:
			err = s.skip()
		}
		return err
	})
	if len(rendered) > 0 {
		h.APIVersion, h.Namespace = rendered[0].APIVersion, rendered[0].Namespace
	}
	if len(rec.Hooks) < MaxObjects {
		rec.Hooks = append(rec.Hooks, h)
	} else {
		rec.Truncated = true
	}
	return err
}

func (s *jsonScanner) lastRun(h *Hook) error {
	return s.object(func(key string) (err error) {
		switch key {
		case "phase":
			h.Phase, err = s.text(maxText)
		case "started_at":
			h.Started, err = s.time()
		case "completed_at":
			h.Completed, err = s.time()
		default:
			err = s.skip()
		}
		return err
	})
}

// time reads an instant; Helm 3 writes "" where there is none.
func (s *jsonScanner) time() (time.Time, error) {
	text, err := s.text(64)
	if err != nil {
		return time.Time{}, err
	}
	t, perr := time.Parse(time.RFC3339Nano, text)
	if perr != nil || t.Year() <= 1 {
		return time.Time{}, nil
	}
	return t.UTC(), nil
}

func (s *jsonScanner) manifest() ([]Object, error) {
	if c, err := s.peek(); err != nil || c != '"' {
		if err != nil {
			return nil, err
		}
		return nil, s.skip()
	}
	var m manifestScanner
	err := s.stream(m.write)
	return m.finish(), err
}

var rollbackTo = lazily(`^Rollback to (\d+)$`)

// RollbackTarget returns the revision that a rollback's record returned to, 0
// when it is no rollback or says no more: Helm 3 says it in the description
// only, and only where no other was given and it did not fail.
func (r Record) RollbackTarget() int {
	if r.RollbackRevision > 0 {
		return r.RollbackRevision
	}
	if m := rollbackTo().FindStringSubmatch(r.Description); m != nil {
		n, _ := strconv.Atoi(m[1])
		return n
	}
	return 0
}

// IsPending reports whether an operation is at work on the release or was left
// in the middle.
func (r Record) IsPending() bool {
	return strings.HasPrefix(r.Status, "pending-") || r.Status == "uninstalling"
}
