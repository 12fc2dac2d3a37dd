package helm

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// pack wraps JSON as Helm's Secret driver does.
func pack(t testing.TB, text string) []byte {
	t.Helper()
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	if _, err := z.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return []byte(base64.StdEncoding.EncodeToString(buf.Bytes()))
}

const sampleRecord = `{
  "name": "web", "namespace": "shop", "version": 7,
  "info": {"first_deployed": "2026-03-01T10:00:00.5+01:00", "last_deployed": "2026-03-01T12:00:00Z", "deleted": "",
    "description": "Rollback to 5", "status": "deployed", "notes": "SECRET-notes", "resources": {"v1/Pod": [{"a": 1}]}},
  "config": {"password": "SECRET-config", "list": [1, -2.5e3, true, null, "\"]}"]},
  "chart": {"metadata": {"name": "web", "version": "1.4.0", "appVersion": "2.0", "annotations": {"name": "not this"}},
    "lock": null, "templates": [{"name": "SECRET", "data": "U0VDUkVU"}], "values": {"name": "SECRET"}, "schema": null, "files": []},
  "manifest": "---\n# Source: web/templates/secret.yaml\napiVersion: v1\nkind: Secret\nmetadata:\n  name: web-credentials\ndata:\n  kind: SECRET\n  password: U0VDUkVU\n---\napiVersion: apps/v1\nkind: Deployment\nmetadata:\n  labels:\n    name: label\n  name: \"web\" # the name\n  namespace: other\nspec:\n  template:\n    metadata:\n      name: not-this\n---\n",
  "hooks": [{"name": "migrate", "kind": "Job", "path": "web/templates/job.yaml", "manifest": "apiVersion: batch/v1\nkind: Job\nmetadata: {name: migrate, namespace: jobs}\n",
    "events": ["pre-upgrade", "post-install"], "last_run": {"started_at": "2026-03-01T12:00:01Z", "completed_at": "", "phase": "Failed"}, "weight": -5, "delete_policies": ["before-hook-creation"]}]
}`

func TestDecodeRecord(t *testing.T) {
	want := Record{
		Name: "web", Namespace: "shop", Revision: 7, Status: "deployed", Description: "Rollback to 5",
		FirstDeployed: time.Date(2026, 3, 1, 9, 0, 0, 500_000_000, time.UTC), LastDeployed: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
		ChartName: "web", ChartVersion: "1.4.0", AppVersion: "2.0",
		Objects: []Object{{"v1", "Secret", "", "web-credentials"}, {"apps/v1", "Deployment", "other", "web"}},
		Hooks: []Hook{{Object: Object{"batch/v1", "Job", "jobs", "migrate"}, Path: "web/templates/job.yaml", Events: []string{"pre-upgrade", "post-install"},
			Weight: -5, Phase: "Failed", Started: time.Date(2026, 3, 1, 12, 0, 1, 0, time.UTC)}},
	}
	packed := pack(t, sampleRecord)
	for reason, data := range map[string][]byte{
		"as a typed client gives it":       packed,
		"as the API's JSON has it":         []byte(base64.StdEncoding.EncodeToString(packed)),
		"without gzip, as old releases":    []byte(base64.StdEncoding.EncodeToString([]byte(sampleRecord))),
		"with white space around":          append([]byte("\n"), append(packed, '\n')...),
		"minified":                         pack(t, minified(t, sampleRecord)),
		"with members in another order":    pack(t, reversed(t, sampleRecord)),
		"the same, read in single letters": nil,
	} {
		t.Run(reason, func(t *testing.T) {
			var got Record
			var err error
			if data == nil {
				err = newJSONScanner(iotest.OneByteReader(strings.NewReader(sampleRecord))).record(&got)
			} else {
				got, err = DecodeRecord(data)
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if text := fmt.Sprintf("%+v", got); strings.Contains(text, "SECRET") {
				t.Errorf("something that may be secret was kept: %s", text)
			}
			if got.RollbackTarget() != 5 || got.IsPending() {
				t.Errorf("rollback to %d, pending %v", got.RollbackTarget(), got.IsPending())
			}
		})
	}
}

func minified(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	if err := json.Compact(&b, []byte(text)); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// reversed puts "manifest" and "hooks" before "name".
func reversed(t *testing.T, text string) string {
	t.Helper()
	var m map[string]json.RawMessage
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		t.Fatal(err)
	}
	out := "{"
	for _, k := range []string{"manifest", "hooks", "chart", "config", "info", "version", "namespace", "name"} {
		out += fmt.Sprintf("%q:%s,", k, m[k])
	}
	return strings.TrimSuffix(out, ",") + "}"
}

func TestDecodeRecordRefuses(t *testing.T) {
	cases := []struct {
		reason string
		data   []byte
		says   string
	}{
		{"nothing", nil, "it is empty"},
		{"no base64", []byte("hello!"), "illegal base64"},
		{"base64 of something else", []byte(base64.StdEncoding.EncodeToString([]byte("\x00\x01\x02\x03"))), "decode release record"},
		{"cut off gzip", pack(t, sampleRecord)[:200], "decode release record"},
		{"cut off JSON", pack(t, sampleRecord[:300]), "unexpected EOF"},
		{"another JSON", pack(t, `{"a": 1}`), "it has no name"},
		{"an array", pack(t, `[1]`), "malformed JSON"},
		{"nested too deep", pack(t, `{"config": `+strings.Repeat("[", 2000)), "nested more than 1000 deep"},
		{"a name of half a surrogate", pack(t, `{"name": "\ud800x"}`), "surrogate"},
		{"a number that is none", pack(t, `{"version": 1e99}`), "number"},
	}
	for _, c := range cases {
		t.Run(c.reason, func(t *testing.T) {
			_, err := DecodeRecord(c.data)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want a word of %q", err, c.says)
			}
		})
	}
}

// endless is a record whose config never ends.
type endless struct{ started bool }

func (e *endless) Read(p []byte) (int, error) {
	if !e.started {
		e.started = true
		return copy(p, `{"config": "`), nil
	}
	for i := range p {
		p[i] = 'a'
	}
	return len(p), nil
}

func TestDecodeRecordDefusesBombs(t *testing.T) {
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	if _, err := io.CopyN(z, &endless{}, 70<<20); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	bomb := []byte(base64.StdEncoding.EncodeToString(buf.Bytes()))
	t.Logf("a bomb of %d bytes", len(bomb))
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := DecodeRecord(bomb); !errors.Is(err, ErrRecordTooLarge) {
		t.Errorf("got %v", err)
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 8<<20 {
		t.Errorf("%d bytes allocated for it", grown)
	}
}

func TestManifestObjects(t *testing.T) {
	cases := []struct {
		reason, manifest string
		want             []Object
	}{
		{"nothing", "", nil},
		{"comments only", "# a\n---\n# b\n", nil},
		{"no separator at the start", "apiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n", []Object{{"v1", "Pod", "", "a"}}},
		{"indented by four, name behind a block of annotations", "kind: Pod\napiVersion: v1\nmetadata:\n    annotations:\n        text: |\n            name: wrong\n    name: a\n    namespace: b\n", []Object{{"v1", "Pod", "b", "a"}}},
		{"flow style", "{apiVersion: v1, kind: Pod, metadata: {name: a}}\n", []Object{{"v1", "Pod", "", "a"}}},
		{"metadata in flow style", "apiVersion: v1\nkind: Pod\nmetadata: {name: a, labels: {name: b}}\n", []Object{{"v1", "Pod", "", "a"}}},
		{"JSON", "---\n{\n  \"apiVersion\": \"v1\",\n  \"kind\": \"Pod\",\n  \"metadata\": {\"name\": \"a\"}\n}\n", []Object{{"v1", "Pod", "", "a"}}},
		{"a list", "apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Pod\n  metadata: {name: a}\n- apiVersion: v1\n  kind: ConfigMap\n  metadata:\n    name: b\n",
			[]Object{{"v1", "Pod", "", "a"}, {"v1", "ConfigMap", "", "b"}}},
		{"quotes of both kinds", "apiVersion: 'v1'\nkind: \"Pod\"\nmetadata:\n  'name': \"a\"\n", []Object{{"v1", "Pod", "", "a"}}},
		{"an escaped name", "apiVersion: v1\nkind: Pod\nmetadata:\n  name: \"a\\x62\"\n", []Object{{"v1", "Pod", "", "ab"}}},
		{"Windows' line ends", "apiVersion: v1\r\nkind: Pod\r\nmetadata:\r\n  name: a\r\n---\r\napiVersion: v1\r\nkind: Pod\r\nmetadata:\r\n  name: b\r\n", []Object{{"v1", "Pod", "", "a"}, {"v1", "Pod", "", "b"}}},
		{"a number as a name is text to Helm", "apiVersion: v1\nkind: Pod\nmetadata:\n  name: 123\n", []Object{{"v1", "Pod", "", "123"}}},
		{"no name, no object", "apiVersion: v1\nkind: Pod\nmetadata:\n  generateName: a-\n", nil},
		{"spec before metadata, with a metadata of its own", "apiVersion: apps/v1\nkind: Deployment\nspec:\n  template:\n    metadata:\n      name: no\nmetadata:\n  name: a\n", []Object{{"apps/v1", "Deployment", "", "a"}}},
		{"a document marker inside of data ends the document in YAML too", "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\ndata:\n  x: |\n    ---\n    kind: Pod\n", []Object{{"v1", "ConfigMap", "", "a"}}},
		{"an over-long line is passed over", "apiVersion: v1\nkind: ConfigMap\nbinaryData:\n  x: " + strings.Repeat("A", 400<<10) + "\nmetadata:\n  name: a\n", []Object{{"v1", "ConfigMap", "", "a"}}},
	}
	for _, c := range cases {
		t.Run(c.reason, func(t *testing.T) {
			for _, step := range []int{1, 7, 1 << 20} {
				var m manifestScanner
				for text := []byte(c.manifest); len(text) > 0; {
					n := min(step, len(text))
					m.write(text[:n])
					text = text[n:]
				}
				if diff := cmp.Diff(c.want, m.finish()); diff != "" {
					t.Errorf("in steps of %d: -want +got:\n%s", step, diff)
				}
			}
		})
	}
}

func TestManifestIsBounded(t *testing.T) {
	one := "---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n"
	text, _ := json.Marshal(strings.Repeat(one, MaxObjects+10))
	got, err := DecodeRecord(pack(t, `{"name": "web", "manifest": `+string(text)+`}`))
	if err != nil || len(got.Objects) != MaxObjects || !got.Truncated {
		t.Errorf("%v, %d objects, truncated %v", err, len(got.Objects), got.Truncated)
	}
}

// TestDecodeRealRecords reads records that Helm 3 and 4 wrote on a real cluster
// and compares them with what encoding/json finds in them.
func TestDecodeRealRecords(t *testing.T) {
	files, err := filepath.Glob("testdata/records/*.b64")
	if err != nil || len(files) < 6 {
		t.Fatalf("%v, %d records", err, len(files))
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got, err := DecodeRecord(data)
			if err != nil {
				t.Fatal(err)
			}
			r, err := unpack(data)
			if err != nil {
				t.Fatal(err)
			}
			var want struct {
				Name, Namespace, Manifest string
				Version                   int
				Info                      struct {
					Status, Description string
					LastDeployed        time.Time `json:"last_deployed"`
					RollbackRevision    int       `json:"rollback_revision"`
				}
				Chart struct {
					Metadata struct{ Name, Version, AppVersion string }
				}
				Hooks []struct {
					Name, Kind string
					LastRun    struct{ Phase string } `json:"last_run"`
				}
			}
			if err := json.NewDecoder(r).Decode(&want); err != nil {
				t.Fatal(err)
			}
			type facts struct {
				Name, Namespace, Status, Description, Chart, ChartVersion, AppVersion string
				Revision, Rollback, Objects                                           int
				Last                                                                  time.Time
				Hooks                                                                 string
			}
			hooks := func(n int, hook func(i int) string) string {
				var b strings.Builder
				for i := range n {
					b.WriteString(hook(i) + ";")
				}
				return b.String()
			}
			a := facts{want.Name, want.Namespace, want.Info.Status, want.Info.Description, want.Chart.Metadata.Name, want.Chart.Metadata.Version,
				want.Chart.Metadata.AppVersion, want.Version, want.Info.RollbackRevision, strings.Count(want.Manifest, "\nkind: "), want.Info.LastDeployed.UTC(),
				hooks(len(want.Hooks), func(i int) string {
					return want.Hooks[i].Kind + "/" + want.Hooks[i].Name + want.Hooks[i].LastRun.Phase
				})}
			b := facts{got.Name, got.Namespace, got.Status, got.Description, got.ChartName, got.ChartVersion, got.AppVersion, got.Revision,
				got.RollbackRevision, len(got.Objects), got.LastDeployed,
				hooks(len(got.Hooks), func(i int) string {
					return got.Hooks[i].Kind + "/" + got.Hooks[i].Name + got.Hooks[i].Phase
				})}
			if diff := cmp.Diff(a, b); diff != "" {
				t.Errorf("-encoding/json +ours:\n%s", diff)
			}
			for _, h := range got.Hooks {
				if h.Phase != "" && (h.Started.IsZero() || h.APIVersion == "") {
					t.Errorf("hook %+v", h)
				}
			}
		})
	}
}

func FuzzDecodeRecord(f *testing.F) {
	f.Add([]byte(sampleRecord))
	f.Add([]byte(`{"name":"\u0041\ud83d\ude00","info":{"status":null},"hooks":[{},{"events":["a"]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		// As text and packed: neither may panic or hang.
		_, _ = DecodeRecord(data)
		var rec Record
		if newJSONScanner(iotest.HalfReader(bytes.NewReader(data))).record(&rec) != nil {
			return
		}
		var want struct {
			Name string `json:"name"`
			Info struct {
				Status string `json:"status"`
			} `json:"info"`
		}
		// Where it is JSON that encoding/json reads into the same shape, both agree.
		if json.Valid(data) && json.Unmarshal(data, &want) == nil && bytes.Count(data, []byte(`"name"`)) == 1 &&
			!bytes.ContainsAny(data, "\\\x80\xff") && rec.Name != want.Name && want.Name != "" && len(want.Name) < maxText && bytes.Contains(data, []byte(`{"name"`)) {
			if rec.Name != strings.ToValidUTF8(want.Name, "\ufffd") && strings.ToValidUTF8(rec.Name, "\ufffd") != want.Name {
				t.Errorf("name %q, encoding/json says %q", rec.Name, want.Name)
			}
		}
	})
}

func FuzzManifest(f *testing.F) {
	f.Add("---\napiVersion: v1\nkind: Pod\nmetadata:\n  name: a\n")
	f.Add("{apiVersion: v1, kind: List, items: [{kind: Pod, metadata: {name: a}}]}")
	f.Fuzz(func(t *testing.T, text string) {
		var whole, pieces manifestScanner
		whole.write([]byte(text))
		for i := range len(text) {
			pieces.write([]byte(text[i : i+1]))
		}
		if diff := cmp.Diff(whole.finish(), pieces.finish()); diff != "" {
			t.Errorf("it matters where the text is cut: %s", diff)
		}
	})
}

// bigRecord is a record as large as a Secret may hold: 60 workloads, chart
// files that make most of it.
func bigRecord(b *testing.B) []byte {
	var manifest strings.Builder
	for i := range 60 {
		fmt.Fprintf(&manifest, "---\napiVersion: apps/v1\nkind: Deployment\nmetadata:\n  name: web-%d\nspec:\n%s", i, strings.Repeat("  field: value of some length\n", 150))
	}
	text, _ := json.Marshal(manifest.String())
	files := make([]byte, 500<<10)
	x := uint32(1)
	for i := range files { // does not compress
		x = x*1664525 + 1013904223
		files[i] = byte(x >> 24)
	}
	return pack(b, fmt.Sprintf(`{"name":"web","namespace":"shop","version":3,"info":{"status":"deployed"},"chart":{"metadata":{"name":"web"},"files":[{"name":"a","data":"%s"}]},"manifest":%s}`,
		base64.StdEncoding.EncodeToString(files), text))
}

func BenchmarkDecodeRecord(b *testing.B) {
	data := bigRecord(b)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := DecodeRecord(data); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkDecodeRecordEncodingJSON is what it would cost to read the whole
// record with encoding/json.
func BenchmarkDecodeRecordEncodingJSON(b *testing.B) {
	data := bigRecord(b)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		r, err := unpack(data)
		if err != nil {
			b.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			b.Fatal(err)
		}
		var rec struct {
			Name     string
			Manifest string
		}
		if err := json.Unmarshal(text, &rec); err != nil {
			b.Fatal(err)
		}
	}
}
