package helm_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fairlead.dev/fairlead/internal/helm"
)

func TestCompareValues(t *testing.T) {
	tree := func(text string) map[string]any {
		t.Helper()
		v, err := helm.DecodeValues(fmt.Appendf(nil, `{"name":"web","info":{"status":"deployed"},"config":%s,"manifest":"x"}`, text))
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	got, more := helm.CompareValues(
		tree(`{"replicas":2,"image":{"tag":"v1"},"db":{"password":"hunter2","port":5432},"hosts":["a","b"],"same":"x","pinCode":1234,"debug":true,"empty":{}}`),
		tree(`{"replicas":4,"image":{"tag":"v2"},"db":{"password":"hunter3","port":5432},"hosts":["a"],"same":"x","pinCode":99,"feature":{"on":true},"empty":{"a":1}}`))
	want := []helm.ValueChange{
		{"db.password", "(hidden)", "(hidden)"}, {"debug", "true", ""}, {"empty", "(hidden)", ""}, {"empty.a", "", "1"}, {"feature.on", "", "true"},
		{"hosts[1]", "(hidden)", ""}, {"image.tag", "(hidden)", "(hidden)"}, {"pinCode", "(hidden)", "(hidden)"}, {"replicas", "2", "4"},
	}
	if diff := cmp.Diff(want, got); diff != "" || more {
		t.Errorf("more %t: %s", more, diff)
	}
	if text, _ := json.Marshal(got); strings.Contains(string(text), "hunter") || strings.Contains(string(text), "v2") || strings.Contains(string(text), "1234") {
		t.Errorf("a value is told: %s", text)
	}
	if got, _ := helm.CompareValues(tree(`null`), tree(`{}`)); len(got) != 0 {
		t.Errorf("no values and none differ: %v", got)
	}
	many := map[string]any{}
	for i := range 300 {
		many[fmt.Sprint(i)] = true
	}
	if got, more := helm.CompareValues(nil, many); len(got) != 200 || !more {
		t.Errorf("%d changes, more %t", len(got), more)
	}
	for _, bad := range []string{``, `{"config":{}}`, `{"name":"web","config":"my-password"}`} {
		if _, err := helm.DecodeValues([]byte(bad)); err == nil || strings.Contains(err.Error(), "my-password") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}
