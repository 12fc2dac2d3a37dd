package emit

import (
	"context"
	"strings"

	"go.opentelemetry.io/contrib/propagators/envcar"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
)

// FromEnvironment returns ctx within the trace and baggage that the environment
// of this process carries (TRACEPARENT, TRACESTATE, BAGGAGE, or what
// OTEL_PROPAGATORS names instead).
func (e *Emitter) FromEnvironment(ctx context.Context) context.Context {
	return e.propagator.Extract(ctx, &envcar.Carrier{})
}

// Environment returns env (KEY=value, as os.Environ gives it) with the context
// of ctx in it, for a child process; earlier values of those keys are replaced.
func (e *Emitter) Environment(ctx context.Context, env []string) []string {
	set := map[string]string{}
	e.propagator.Inject(ctx, &envcar.Carrier{SetEnvFunc: func(k, v string) { set[k] = v }})
	out := make([]string, 0, len(env)+len(set))
	for _, kv := range env {
		if k, _, _ := strings.Cut(kv, "="); set[k] == "" {
			out = append(out, kv)
		}
	}
	for k, v := range set {
		out = append(out, k+"="+v)
	}
	return out
}

// Traceparent returns the W3C traceparent of ctx's span, "" without one. Leases
// carry it whatever OTEL_PROPAGATORS says.
func Traceparent(ctx context.Context) string {
	c := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, c)
	return c.Get("traceparent")
}

// WithTraceparent returns ctx within the remote span that a W3C traceparent
// names, or ctx itself when it cannot be read.
func WithTraceparent(ctx context.Context, traceparent string) context.Context {
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": traceparent})
}

// IDsOf returns the trace and span id of ctx's span in lower-case hex, "" where
// there is none.
func IDsOf(ctx context.Context) (traceID, spanID string) {
	sc := trace.SpanContextFromContext(ctx)
	if !sc.IsValid() {
		return "", ""
	}
	return sc.TraceID().String(), sc.SpanID().String()
}
