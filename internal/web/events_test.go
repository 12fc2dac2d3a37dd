package web

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestGather(t *testing.T) {
	got := gather([]event{
		{Reason: "Unhealthy", Kind: "Pod", Namespace: "shop", Name: "web-74f6d9c7b6-mx9nt", Count: 3, Message: "newest"},
		{Reason: "Unhealthy", Kind: "Pod", Namespace: "shop", Name: "web-74f6d9c7b6-mx9nt", Count: 2},
		{Reason: "Unhealthy", Kind: "Pod", Namespace: "shop", Name: "web-5d95df4cb9-xd8x5", Count: 4},
		{Reason: "BackOff", Kind: "Pod", Namespace: "shop", Name: "web-5d95df4cb9-xd8x5", Count: 1},
		{Reason: "Unhealthy", Kind: "Pod", Namespace: "other", Name: "web-5d95df4cb9-xd8x5", Count: 1},
		{Reason: "Unhealthy", Kind: "Pod", Namespace: "shop", Name: "web-5d95df4cb9-xd8x5", Operation: "a/deploy", Count: 1},
		{Reason: "Failed", Kind: "Pod", Namespace: "shop", Name: "db-0", Count: 1},
		{Reason: "Failed", Kind: "Pod", Namespace: "shop", Name: "db-1", Count: 1},
	})
	type row struct {
		Reason, Name string
		Others       int
		Count        int64
	}
	var rows []row
	for _, e := range got {
		rows = append(rows, row{e.Reason, e.Name, e.Others, e.Count})
	}
	want := []row{
		{"Unhealthy", "web-74f6d9c7b6-mx9nt", 1, 7}, {"BackOff", "web-5d95df4cb9-xd8x5", 0, 1}, {"Unhealthy", "web-5d95df4cb9-xd8x5", 0, 1},
		{"Unhealthy", "web-5d95df4cb9-xd8x5", 0, 1}, {"Failed", "db-0", 0, 1}, {"Failed", "db-1", 0, 1},
	}
	if diff := cmp.Diff(want, rows); diff != "" || got[0].Message != "newest" {
		t.Error(diff)
	}
}
