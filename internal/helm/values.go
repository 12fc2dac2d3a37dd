package helm

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
)

// ValueChange is a setting that differs between two revisions. It never holds
// text: see [CompareValues].
type ValueChange struct {
	Path    string // image.tag, env.LOG_LEVEL, hosts[0]
	Was, Is string // what may be shown of the value; "" = not set
}

// maxValueChanges bounds a comparison: nobody reads on beyond it.
const maxValueChanges = 200

// hidden stands for a value that is not shown.
const hidden = "(hidden)"

// secretPath matches settings of which not even a number is shown.
var secretPath = lazily(`(?i)pass|secret|token|key|cred|auth|private|cert|dsn|pin|salt`)

// DecodeValues returns the values that the user gave to a revision (--values and
// --set, as `helm get values` prints them) from data.release of its record.
func DecodeValues(data []byte) (map[string]any, error) {
	r, err := unpack(data)
	if err != nil {
		return nil, fmt.Errorf("decode release record: %w", err)
	}
	limited := &limitedReader{r: r, left: maxRecord}
	var rec struct {
		Name   string         `json:"name"`
		Config map[string]any `json:"config"`
	}
	err = json.NewDecoder(limited).Decode(&rec)
	switch {
	case limited.exceeded:
		return nil, fmt.Errorf("decode release record: %w", ErrRecordTooLarge)
	case err != nil:
		return nil, errors.New("decode release record: it is no JSON") // the decoder's words may quote values
	case rec.Name == "":
		return nil, errors.New("decode release record: it has no name")
	}
	return rec.Config, nil
}

// CompareValues returns which settings differ, sorted by path, and whether there
// are more than are returned. Values may be secrets: of text only that it
// changed is told; booleans and numbers are shown unless the path sounds like a
// secret's.
func CompareValues(before, after map[string]any) (changes []ValueChange, more bool) {
	was, is := map[string]any{}, map[string]any{}
	flatten("", before, was)
	flatten("", after, is)
	paths := maps.Clone(was)
	maps.Copy(paths, is)
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		a, hadIt := was[path]
		b, hasIt := is[path]
		if hadIt == hasIt && a == b {
			continue
		}
		if len(changes) == maxValueChanges {
			return changes, true
		}
		c := ValueChange{Path: path}
		if hadIt {
			c.Was = show(path, a)
		}
		if hasIt {
			c.Is = show(path, b)
		}
		changes = append(changes, c)
	}
	return changes, false
}

// flatten puts the leaves of a tree of values under their paths.
func flatten(path string, v any, out map[string]any) {
	switch v := v.(type) {
	case map[string]any:
		for k, one := range v {
			name := k
			if path != "" {
				name = path + "." + k
			}
			flatten(name, one, out)
		}
		if len(v) == 0 && path != "" {
			out[path] = "{}"
		}
	case []any:
		for i, one := range v {
			flatten(path+"["+strconv.Itoa(i)+"]", one, out)
		}
		if len(v) == 0 {
			out[path] = "[]"
		}
	default:
		out[path] = v
	}
}

func show(path string, v any) string {
	if secretPath().MatchString(path) {
		return hidden
	}
	switch v := v.(type) {
	case bool:
		return strconv.FormatBool(v)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case nil:
		return "null"
	default:
		return hidden
	}
}
