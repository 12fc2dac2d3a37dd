package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"fairlead.dev/fairlead/internal/helm"
	"fairlead.dev/fairlead/internal/release"
	"fairlead.dev/fairlead/internal/store/operations"
)

// Values compares the values of two revisions of a release. Errors made by
// [WithStatus] say whether it may not be read (403) or is not there (404).
type Values interface {
	Changes(ctx context.Context, namespace, name string, before, after Revision) (changes []helm.ValueChange, more bool, err error)
}

// Revision is a revision of a release as the server's record names it.
type Revision struct {
	Number int
	UID    string // of Helm's record in the cluster; "" = not known
}

type valuesData struct {
	Before, After Revision
	Changes       []helm.ValueChange
	State         State
	Choices       []int // revisions that can be compared with the one before, newest first
}

// maxChoices bounds the revisions that are offered.
const maxChoices = 20

// compare fills in how the values of the revision in the address, or of the
// newest, differ from those of the one before.
func (s *site) compare(r *http.Request, d *releaseData, ops []release.Operation) {
	v := &d.Values
	revisions := revisionsOf(ops)
	if len(revisions) < 2 {
		v.State = calm("There is one revision so far.")
		return
	}
	at := 0
	wanted, _ := strconv.Atoi(r.URL.Query().Get("revision"))
	for i, one := range revisions[:min(len(revisions)-1, maxChoices)] {
		v.Choices = append(v.Choices, one.Number)
		if one.Number == wanted {
			at = i
		}
	}
	v.After, v.Before = revisions[at], revisions[at+1]
	command := valuesCommand(d.Release, v.Before.Number, v.After.Number)
	if s.o.Values == nil {
		v.State = off("Values are not recorded, since they may hold secrets, and this server was given no cluster to read them from (--kubeconfig).",
			"Compare two revisions on a machine that may read them:", command)
		return
	}
	changes, more, err := s.o.Values.Changes(r.Context(), d.Release.Namespace, d.Release.Name, v.Before, v.After)
	var status statusError
	switch {
	case errors.As(err, &status) && status.status == http.StatusForbidden:
		v.State = forbidden(sentence(err), "Grant get on secrets there, or compare with your own access:")
		v.State.Command = command
	case errors.As(err, &status) && status.status == http.StatusNotFound:
		v.State = empty(sentence(err), "")
	case err != nil:
		v.State = failed(err)
	case len(changes) == 0:
		v.State = calm("The same values were given to both.")
	case more:
		v.State = partial(fmt.Sprintf("The first %d settings are shown; there are more.", len(changes)))
	}
	v.Changes = changes
}

// sentence begins with a capital and ends with a stop.
func sentence(err error) string {
	text := err.Error()
	return strings.ToUpper(text[:1]) + text[1:] + "."
}

// revisionsOf returns the revisions that operations made, newest first.
func revisionsOf(ops []release.Operation) (out []Revision) {
	seen := map[int]bool{}
	for _, op := range ops {
		if op.Revision == 0 || seen[op.Revision] || !op.Kind.Deploy() && op.Kind != release.KindRollback {
			continue
		}
		if op.Kind == release.KindInstall && len(out) > 0 && op.Revision > out[len(out)-1].Number {
			break // an earlier life of the release, before an uninstall
		}
		seen[op.Revision] = true
		uid, _, ok := strings.Cut(op.ID, "/")
		if !ok || !strings.Contains(uid, "-") {
			uid = ""
		}
		out = append(out, Revision{op.Revision, uid})
	}
	return out
}

func valuesCommand(r operations.Release, before, after int) string {
	get := func(revision int) string {
		return fmt.Sprintf("<(helm get values %s -n %s --revision %d)", shellWord(r.Name), shellWord(r.Namespace), revision)
	}
	return "diff " + get(before) + " " + get(after)
}
