// Package otlptest makes OTLP data for tests and benchmarks of the store: the
// traces of a shop of ten services, and messages with every field set.
package otlptest

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// Services are the shop's service names.
var Services = []string{"checkout-service", "cart", "payment", "catalog", "shipping", "auth", "email", "frontend", "recommend", "inventory"}

// Shape of the shop: of the pods of a service the first two are the canary.
const (
	Pods          = 12
	CanaryPods    = 2
	SpansPerTrace = 8
	StableVersion = "1.0.0"
	CanaryVersion = "1.1.0"
)

// Shop makes traces: each of eight spans over eight services, with about 600
// bytes of attributes a span. One span in twenty of the canary fails, of
// stable one in two hundred. The same seed makes the same traces.
type Shop struct {
	Seed  uint64
	Start time.Time
	// Step is the time between two traces.
	Step time.Duration
}

// TraceID returns the id of trace i.
func (s *Shop) TraceID(i int) (id pcommon.TraceID) {
	r := s.rand(i)
	binary.BigEndian.PutUint64(id[:8], r.Uint64())
	binary.BigEndian.PutUint64(id[8:], r.Uint64())
	return id
}

func (s *Shop) rand(i int) *rand.Rand { return rand.New(rand.NewPCG(s.Seed, uint64(i))) }

// Span is a span of the shop before it is put under its resource.
type Span struct {
	Pod   int // 0 to len(Services)*Pods-1
	Write func(ptrace.Span)
}

// Trace returns the spans of trace i.
func (s *Shop) Trace(i int) []Span {
	r := s.rand(i)
	var id pcommon.TraceID
	binary.BigEndian.PutUint64(id[:8], r.Uint64())
	binary.BigEndian.PutUint64(id[8:], r.Uint64())
	base := s.Start.Add(time.Duration(i)*s.Step + time.Duration(r.Int64N(5e9)))
	spans := make([]Span, SpansPerTrace)
	var parent pcommon.SpanID
	for k := range spans {
		service := (k + i) % len(Services)
		pod := r.IntN(Pods)
		var spanID pcommon.SpanID
		binary.BigEndian.PutUint64(spanID[:], r.Uint64())
		sp := s.span(r, k, service, pod)
		sp.trace, sp.id, sp.parent = id, spanID, parent
		sp.start = base.Add(time.Duration(k)*time.Millisecond + time.Duration(r.Int64N(1e6)))
		sp.end = sp.start.Add(time.Millisecond + time.Duration(r.Int64N(200e6)))
		spans[k] = Span{Pod: service*Pods + pod, Write: sp.write}
		parent = spanID
	}
	return spans
}

type span struct {
	trace              pcommon.TraceID
	id, parent         pcommon.SpanID
	kind               ptrace.SpanKind
	name               string
	start, end         time.Time
	failed             bool
	method, route, url string
	address, peer      string
	thread             int64
	threadName, user   string
	order              int
}

func (s *Shop) span(r *rand.Rand, k, service, pod int) *span {
	name := Services[service]
	sp := &span{
		kind:    []ptrace.SpanKind{ptrace.SpanKindServer, ptrace.SpanKindClient, ptrace.SpanKindInternal}[k%3],
		method:  []string{"GET", "POST", "PUT"}[k%3],
		route:   fmt.Sprintf("/api/v1/%s/{id}", name),
		url:     fmt.Sprintf("http://%s.shop.svc:8080/api/v1/%s/%d?session=%016x", name, name, r.IntN(1e6), r.Uint64()),
		address: name + ".shop.svc",
		peer:    fmt.Sprintf("10.%d.%d.%d", r.IntN(255), r.IntN(255), r.IntN(255)),
		thread:  int64(r.IntN(200)), threadName: fmt.Sprintf("http-nio-8080-exec-%d", r.IntN(200)),
		user: fmt.Sprintf("u-%d", r.IntN(50000)), order: r.IntN(1e6),
	}
	sp.name = fmt.Sprintf("%s /api/v1/%s/%d", sp.method, name, r.IntN(20))
	rate := 0.005
	if pod < CanaryPods {
		rate = 0.05
	}
	sp.failed = r.Float64() < rate
	return sp
}

func (sp *span) write(to ptrace.Span) {
	to.SetTraceID(sp.trace)
	to.SetSpanID(sp.id)
	to.SetParentSpanID(sp.parent)
	to.SetKind(sp.kind)
	to.SetName(sp.name)
	to.SetStartTimestamp(pcommon.NewTimestampFromTime(sp.start))
	to.SetEndTimestamp(pcommon.NewTimestampFromTime(sp.end))
	a := to.Attributes()
	a.EnsureCapacity(16)
	a.PutStr("http.request.method", sp.method)
	a.PutStr("http.route", sp.route)
	a.PutStr("url.full", sp.url)
	a.PutStr("server.address", sp.address)
	a.PutInt("server.port", 8080)
	a.PutStr("network.protocol.name", "http")
	a.PutStr("network.protocol.version", "1.1")
	a.PutStr("network.peer.address", sp.peer)
	a.PutStr("user_agent.original", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36")
	a.PutStr("code.function.name", "com.shop.web.RequestDispatcher.dispatchAuthenticatedRequest")
	a.PutInt("thread.id", sp.thread)
	a.PutStr("thread.name", sp.threadName)
	a.PutStr("user.id", sp.user)
	if !sp.failed {
		a.PutInt("http.response.status_code", 200)
		return
	}
	a.PutInt("http.response.status_code", 502)
	to.Status().SetCode(ptrace.StatusCodeError)
	to.Status().SetMessage("payment gateway returned 502")
	e := to.Events().AppendEmpty()
	e.SetName("exception")
	e.SetTimestamp(pcommon.NewTimestampFromTime(sp.end))
	e.Attributes().PutStr("exception.type", "java.lang.IllegalStateException")
	e.Attributes().PutStr("exception.message", fmt.Sprintf("payment gateway returned 502 for order %d", sp.order))
	e.Attributes().PutStr("exception.stacktrace", fmt.Sprintf(stack, sp.order))
}

const stack = "java.lang.IllegalStateException: payment gateway returned 502 for order %d\n" +
	"\tat com.shop.payment.Gateway.charge(Gateway.java:212)\n\tat com.shop.checkout.CheckoutService.placeOrder(CheckoutService.java:98)\n" +
	"\tat com.shop.checkout.CheckoutController.post(CheckoutController.java:41)\n\tat jdk.internal.reflect.DirectMethodHandleAccessor.invoke(DirectMethodHandleAccessor.java:103)\n"

// WriteResource sets the resource of a pod.
func WriteResource(pod int, to pcommon.Resource) {
	service, n := Services[pod/Pods], pod%Pods
	track, version := "stable", StableVersion
	if n < CanaryPods {
		track, version = "canary", CanaryVersion
	}
	a := to.Attributes()
	a.EnsureCapacity(12)
	for _, kv := range [][2]string{
		{"service.name", service}, {"service.version", version}, {"deployment.track", track}, {"service.namespace", "shop"},
		{"service.instance.id", fmt.Sprintf("%s-%s-%d", service, track, n)}, {"k8s.pod.name", fmt.Sprintf("%s-%x-%05x", service, 7919*n, n*31337)},
		{"k8s.namespace.name", "shop"}, {"k8s.node.name", fmt.Sprintf("node-%d", n%4)}, {"telemetry.sdk.name", "opentelemetry"},
		{"telemetry.sdk.language", "java"}, {"host.arch", "amd64"}, {"process.runtime.version", "21.0.4+7-LTS"},
	} {
		a.PutStr(kv[0], kv[1])
	}
}

// Batches groups the spans of traces [from, to) as their senders export them,
// in batches of at most size spans: with perPod each pod sends its own,
// as an SDK does; without, batches hold all pods, as a Collector's do.
func (s *Shop) Batches(from, to, size int, perPod bool, send func(ptrace.Traces)) {
	waiting := map[int][]Span{}
	total := 0
	flush := func(pods map[int][]Span) {
		td := ptrace.NewTraces()
		for pod := range len(Services) * Pods {
			spans := pods[pod]
			if len(spans) == 0 {
				continue
			}
			rs := td.ResourceSpans().AppendEmpty()
			WriteResource(pod, rs.Resource())
			rs.SetSchemaUrl("https://opentelemetry.io/schemas/1.44.0")
			ss := rs.ScopeSpans().AppendEmpty()
			ss.Scope().SetName("io.opentelemetry.tomcat-10.0")
			ss.Scope().SetVersion("2.21.0-alpha")
			ss.Spans().EnsureCapacity(len(spans))
			for _, sp := range spans {
				sp.Write(ss.Spans().AppendEmpty())
			}
		}
		if td.ResourceSpans().Len() > 0 {
			send(td)
		}
	}
	for i := from; i < to; i++ {
		for _, sp := range s.Trace(i) {
			waiting[sp.Pod] = append(waiting[sp.Pod], sp)
			total++
			if perPod && len(waiting[sp.Pod]) == size {
				flush(map[int][]Span{sp.Pod: waiting[sp.Pod]})
				delete(waiting, sp.Pod)
			}
		}
		if !perPod && total >= size {
			flush(waiting)
			waiting, total = map[int][]Span{}, 0
		}
	}
	if !perPod {
		flush(waiting)
		return
	}
	for pod := range len(Services) * Pods {
		flush(map[int][]Span{pod: waiting[pod]})
	}
}
