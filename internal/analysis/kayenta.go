package analysis

import (
	"math"
	"time"

	"fairlead.dev/fairlead/internal/analysis/sequential"
)

const (
	// kayentaPass is the score that Kayenta's documentation calls a pass.
	kayentaPass = 75
	// kayentaMinutes is the least number of samples per metric: fewer cannot be
	// significant at 98 %.
	kayentaMinutes = 5
)

// decideKayenta judges once, at the gate's end, as Kayenta's NetflixACAJudge: per
// minute and metric one sample of each track, Mann-Whitney at 98 % with a
// tolerance of a quarter of the shift, score = share of the metrics that passed.
// It differs from Kayenta in what "no data" is: no pass.
func (j *Judge) decideKayenta(t *tally) outcome {
	if m := j.addMinute(t); m != nil {
		for tr := range m.P99 {
			if m.P99[tr] = m.Latency[tr].Quantile(0.99); math.IsNaN(m.P99[tr]) {
				m.P99[tr] = -1
			}
			m.Latency[tr] = Histogram{} // its quantile is all that is needed
		}
	}
	if o, stop := j.unasked(); stop {
		return o
	}
	if j.stepAge() < time.Duration(j.st.Step.Gate) {
		return j.going(ReasonInsufficientData, "Judged at the gate's end.")
	}
	pass, total := 0, 0
	var harm []int
	for i := range j.tests {
		if j.tests[i].row >= 0 {
			continue
		}
		x, y, lower := j.minuteSamples(i)
		if len(x) < kayentaMinutes || len(y) < kayentaMinutes {
			continue
		}
		class, ok := sequential.KayentaClass(x, y)
		if !ok {
			continue
		}
		total++
		if class == sequential.KayentaHigh && !lower || class == sequential.KayentaLow && lower {
			harm = append(harm, i)
		} else {
			pass++
		}
	}
	if total == 0 {
		return j.going(ReasonUntestable, "No metric has %d minutes of samples on both tracks that differ.", kayentaMinutes)
	}
	if score := 100 * float64(pass) / float64(total); score < kayentaPass {
		return j.blame(harm, "The score is %.0f, %d are a pass.", score, kayentaPass)
	}
	return outcome{Decision: Promote, Reason: ReasonPassed, Message: "The score is a pass.", Upper: 1}
}

// minuteSamples are a metric's samples, canary and stable; lower says that less
// is worse.
func (j *Judge) minuteSamples(i int) (x, y []float64, lower bool) {
	t := &j.tests[i]
	for k := range j.st.Minutes {
		m := &j.st.Minutes[k]
		if !m.Full {
			continue
		}
		var v [2]float64
		ok := true
		for tr := range v {
			switch {
			case t.business != nil:
				b := m.Business[t.metric][tr]
				v[tr], ok = b.Rate(), ok && b.Units > 0
				lower = t.business.MaxDrop > 0
			case t.kind == kindErrors:
				v[tr], ok = Count{m.Errors[tr], m.Requests[tr]}.Rate(), ok && m.Requests[tr] > 0 && j.errorsKnown()
			default:
				v[tr], ok = m.P99[tr], ok && m.P99[tr] >= 0 && j.slow[t.slow].q == 0.99
			}
		}
		if ok {
			x, y = append(x, v[Canary]), append(y, v[Stable])
		}
	}
	return x, y, lower
}
