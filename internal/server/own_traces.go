package server

import (
	"context"
	"net/http"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"golang.org/x/time/rate"

	"fairlead.dev/fairlead/internal/emit"
	"fairlead.dev/fairlead/internal/store/telemetry"
)

// ownService is service.name of the server's own traces.
const ownService = "fairlead-server"

const (
	// Pages that refresh themselves ask a few times a second; more than this
	// would fill the store with the reading of it.
	ownRequestsPerSecond = 20
	// One batch of each signal in ten seconds shows what ingest costs.
	ownIngestInterval = 10 * time.Second
)

// ownTraces are the server's traces of itself: of requests on its HTTP address,
// and of a few batches that it takes in. They go straight into its store, past
// receivers, other parts and upstreams, so that writing them is not itself
// traced. nil traces nothing.
type ownTraces struct {
	provider *sdktrace.TracerProvider
	tracer   trace.Tracer
	join     propagation.TextMapPropagator
	requests *rate.Limiter
	ingest   map[string]*rate.Limiter // by signal
}

// openOwnTraces adds them, unless the configuration or OTEL_SDK_DISABLED says no.
func (s *Server) openOwnTraces(ctx context.Context, store *telemetry.Store) {
	if !s.cfg.Store.Telemetry.OwnTraces || emit.Disabled() {
		return
	}
	// What OTEL_RESOURCE_ATTRIBUTES says wins; a part of it that cannot be read
	// leaves the rest.
	res, err := resource.New(ctx, resource.WithTelemetrySDK(),
		resource.WithAttributes(attribute.String("service.name", ownService), attribute.String("service.version", s.opts.Version)), resource.WithFromEnv())
	if err != nil {
		s.logger.Warn("resource of the server's own traces", "error", err)
	}
	o := &ownTraces{
		provider: sdktrace.NewTracerProvider(sdktrace.WithResource(res), sdktrace.WithBatcher(&ownExporter{server: s, store: store})),
		join:     propagation.TraceContext{},
		requests: rate.NewLimiter(ownRequestsPerSecond, 2*ownRequestsPerSecond),
		ingest:   map[string]*rate.Limiter{},
	}
	for _, signal := range []string{"traces", "metrics", "logs"} {
		o.ingest[signal] = rate.NewLimiter(rate.Every(ownIngestInterval), 1)
	}
	o.tracer = o.provider.Tracer("fairlead.dev/fairlead/internal/server")
	s.own = o
	s.add(Part{Name: "own traces", Close: func() error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = o.provider.Shutdown(ctx) // its exporter has said what went wrong
		return nil
	}})
}

// ownExporter writes spans to the store.
type ownExporter struct {
	server *Server
	store  *telemetry.Store
}

// ExportSpans keeps the spans, or drops them where nothing can be written: they
// are worth less than what the room is kept for.
func (e *ownExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	if e.server.space.low() != nil {
		return nil
	}
	if err := e.store.ConsumeTraces(ctx, toTraces(spans)); err != nil {
		e.server.logger.Debug("own traces not kept", "spans", len(spans), "error", err)
	}
	return nil
}

// Shutdown does nothing: the store is closed by its own part.
func (e *ownExporter) Shutdown(context.Context) error { return nil }

// request traces what h answers, within the caller's trace when it names one.
func (o *ownTraces) request(h http.Handler) http.Handler {
	if o == nil {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !o.requests.Allow() {
			h.ServeHTTP(w, r)
			return
		}
		ctx := o.join.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
		ctx, span := o.tracer.Start(ctx, r.Method, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(
			attribute.String("http.request.method", r.Method),
			// Without the query, which may hold what is nobody else's business.
			attribute.String("url.path", r.URL.Path),
			attribute.String("user_agent.original", r.UserAgent()),
		))
		defer span.End()
		answer := &watchedAnswer{ResponseWriter: w, status: http.StatusOK}
		r = r.WithContext(ctx)
		h.ServeHTTP(answer, r)
		// Handlers that route further have made the pattern more exact.
		if route := routeOf(r.Pattern); route != "" {
			span.SetName(r.Method + " " + route)
			span.SetAttributes(attribute.String("http.route", route))
		}
		span.SetAttributes(attribute.Int("http.response.status_code", answer.status))
		if answer.status >= http.StatusInternalServerError {
			span.SetStatus(codes.Error, http.StatusText(answer.status))
		}
	})
}

// batch traces the intake of a batch, if it is its turn.
func (o *ownTraces) batch(ctx context.Context, signal string, items int) (context.Context, func(error)) {
	if o == nil || !o.ingest[signal].Allow() {
		return ctx, func(error) {}
	}
	ctx, span := o.tracer.Start(ctx, "ingest "+signal, trace.WithNewRoot(), trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithAttributes(attribute.String("fairlead.signal", signal), attribute.Int("fairlead.items", items)))
	return ctx, func(err error) { end(span, err) }
}

// step traces one part's work on a batch that is traced.
func (o *ownTraces) step(ctx context.Context, part string, work func(context.Context) error) error {
	if o == nil || !trace.SpanFromContext(ctx).IsRecording() {
		return work(ctx)
	}
	ctx, span := o.tracer.Start(ctx, part)
	err := work(ctx)
	end(span, err)
	return err
}

func end(span trace.Span, err error) {
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
	}
	span.End()
}
