package release

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// names returns what observations are of, in their order.
func names(list []Observation) string {
	var out []string
	for _, o := range list {
		out = append(out, o.Meta().Name)
	}
	return strings.Join(out, " ")
}

func TestOwnersInAnyOrder(t *testing.T) {
	d, rs := deployment(1, 1, 0, 1), replicaSet(1, 1, 0)
	p := podOf(rs, "a", running(false))
	all := []Observation{{Workload: &d}, {Workload: &rs}, {Pod: &p}}
	rng := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		o := NewOwners(Ref{})
		var got []Observation
		for i, x := range all {
			x.At = at(float64(i))
			got = append(got, o.Observe(x)...)
		}
		if len(got) != 3 {
			t.Fatalf("%s of %s", names(got), names(all))
		}
		for _, x := range got {
			if x.Release != web {
				t.Errorf("%s belongs to %s", x.Meta(), x.Release)
			}
		}
	}
}

func TestOwnersKeepTheTimesOfWhatWaited(t *testing.T) {
	o := NewOwners(web)
	d, rs := deployment(1, 1, 0, 1), replicaSet(1, 1, 0)
	p := podOf(rs, "a", running(false))
	for i := range 3 {
		if got := o.Observe(Observation{At: at(float64(i)), Pod: &p}); len(got) != 0 {
			t.Fatalf("a pod of nobody: %s", names(got))
		}
	}
	if got := o.Observe(Observation{At: at(3), Workload: &rs}); len(got) != 0 {
		t.Fatalf("a ReplicaSet of nobody: %s", names(got))
	}
	got := o.Observe(Observation{At: at(4), Workload: &d})
	if names(got) != "web web-h1 web-h1-a web-h1-a web-h1-a" || !got[2].At.Equal(at(0)) {
		t.Errorf("got %s, the pod's first at %s", names(got), got[2].At)
	}
	if o.Of(ObjectRef{UID: p.UID}) != web {
		t.Error("the pod's events find no release")
	}
}

func TestOwnersOfOneRelease(t *testing.T) {
	o := NewOwners(Ref{Namespace: "shop", Name: "other"})
	d := deployment(1, 1, 0, 1)
	if got := o.Observe(Observation{Workload: &d}); len(got) != 0 {
		t.Errorf("another release's: %s", names(got))
	}
}

func TestHooksAreNamedByTheRecord(t *testing.T) {
	j := Workload{Meta: Meta{ObjectRef: ObjectRef{Kind: KindJob, Namespace: "shop", Name: "migrate", UID: "j"}, Hook: []string{"pre-upgrade"}}}
	p := jobPod(j, running(true))
	for _, late := range []bool{false, true} {
		t.Run(fmt.Sprintf("the record comes late: %v", late), func(t *testing.T) {
			o := NewOwners(web)
			var got []Observation
			if !late {
				o.Name(j.ObjectRef, web)
			}
			got = append(got, o.Observe(Observation{At: at(1), Workload: &j})...)
			got = append(got, o.Observe(Observation{At: at(2), Pod: &p})...)
			if late {
				got = o.Name(j.ObjectRef, web)
			}
			if names(got) != "migrate migrate-x" {
				t.Errorf("got %s", names(got))
			}
		})
	}
	t.Run("no record, but the usual label", func(t *testing.T) {
		labelled := j
		labelled.Instance = "web"
		if got := NewOwners(web).Observe(Observation{Workload: &labelled}); names(got) != "migrate" {
			t.Errorf("got %s", names(got))
		}
	})
}

func TestClaimsOfAStatefulSetAreNamedByItsPods(t *testing.T) {
	o := NewOwners(Ref{})
	claim := Claim{Meta: Meta{ObjectRef: ObjectRef{Kind: KindClaim, Namespace: "shop", Name: "data-db-0", UID: "c"}}, Phase: "Pending"}
	set := Workload{Meta: metaOf(KindStatefulSet, "db")}
	p := podOf(set, "0", running(false))
	p.Claims = []string{"data-db-0"}
	o.Observe(Observation{Claim: &claim})
	o.Observe(Observation{Workload: &set})
	if got := names(o.Observe(Observation{Pod: &p})); got != "db-0 data-db-0" {
		t.Errorf("got %s", got)
	}
}

func TestOwnersForgetWhatIsGone(t *testing.T) {
	o := NewOwners(Ref{})
	for i := range 100 {
		d := Workload{Meta: metaOf(KindDeployment, fmt.Sprint("d", i))}
		rs := Workload{Meta: metaOf(KindReplicaSet, fmt.Sprint("rs", i), d.ObjectRef)}
		p := podOf(rs, "a", running(true))
		seen := []Observation{{Workload: &d}, {Workload: &rs}, {Pod: &p}}
		for _, x := range seen {
			o.Observe(x)
		}
		if i%2 == 0 {
			slices.Reverse(seen) // owners may go first, or last
		}
		for _, x := range seen {
			x.Deleted = true
			if got := o.Observe(x); len(got) != 1 || got[0].Release != web {
				t.Fatalf("the end of %s is %s", x.Meta(), names(got))
			}
		}
	}
	if len(o.nodes) > 0 || len(o.byName) > 0 {
		t.Errorf("%d nodes and %d names are left", len(o.nodes), len(o.byName))
	}
}
