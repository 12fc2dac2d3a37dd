package dashboards

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPanelsAreWhole(t *testing.T) {
	uids := map[string]bool{}
	for _, d := range All() {
		if uids[d.UID] || d.UID == "" || d.Templating.List[0].Name != "datasource" {
			t.Errorf("%s: uid %q; the data source is the first variable", d.Title, d.UID)
		}
		uids[d.UID] = true
		taken := map[[2]int]string{}
		ids := map[int]bool{}
		for _, p := range d.Panels {
			if ids[p.ID] {
				t.Errorf("%s: panel id %d twice", d.Title, p.ID)
			}
			ids[p.ID] = true
			for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
				for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
					if other := taken[[2]int{x, y}]; other != "" || x >= 24 {
						t.Fatalf("%s: %q lies on %q", d.Title, p.Title, other)
					}
					taken[[2]int{x, y}] = p.Title
				}
			}
			if p.Type == "row" {
				continue
			}
			if p.Description == "" || len(p.Targets) == 0 {
				t.Errorf("%s: %q has no description or no query", d.Title, p.Title)
			}
			if p.FieldConfig.Defaults.Unit == "" && p.Type != "table" && p.Type != "logs" {
				t.Errorf("%s: %q has no unit", d.Title, p.Title)
			}
			for _, q := range p.Targets {
				if q.Datasource == nil || !strings.HasPrefix(q.Datasource.UID, "${") || q.RefID == "" {
					t.Errorf("%s: %q: a query without the chosen data source", d.Title, p.Title)
				}
				if strings.Contains(q.Expr, "rate(") && !strings.Contains(q.Expr, "$__rate_interval]") {
					t.Errorf("%s: %q: rate without $__rate_interval", d.Title, p.Title)
				}
			}
		}
	}
}

func TestCommittedFilesAreThese(t *testing.T) {
	for _, d := range All() {
		want, err := json.MarshalIndent(d, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(filepath.Join("..", "..", "deploy", "dashboards", d.UID+".json"))
		if err != nil || string(got) != string(want)+"\n" {
			t.Errorf("deploy/dashboards/%s.json: run go generate ./deploy (%v)", d.UID, err)
		}
	}
}
