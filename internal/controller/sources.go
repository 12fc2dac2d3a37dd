package controller

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"fairlead.dev/fairlead/api/v1alpha1"
	"fairlead.dev/fairlead/internal/analysis"
	"fairlead.dev/fairlead/internal/prom"
	"fairlead.dev/fairlead/internal/tracing"
)

// maxSources bounds the clients that are kept.
const maxSources = 1000

// sources makes the clients of metric and trace backends, one for each backend
// that differs in anything.
type sources struct {
	reader  client.Reader // past the cache: Secrets are not watched
	metrics *prom.Config  // of CanaryReleases that name none; nil = none
	search  tracing.Source

	mu   sync.Mutex
	kept map[string]analysis.Source
}

// samples is where the samples of a CanaryRelease are; nil when nobody says.
func (s *sources) samples(ctx context.Context, cr *v1alpha1.CanaryRelease) (analysis.Source, error) {
	c := s.metrics
	if cr.Spec.Source != nil && cr.Spec.Source.Prometheus != nil {
		b := cr.Spec.Source.Prometheus
		token, user, password, err := s.credentials(ctx, cr.Namespace, "spec.source.prometheus", b)
		if err != nil {
			return nil, err
		}
		c = &prom.Config{URL: b.URL, BearerToken: token, Headers: b.Headers, Params: b.Params, AcceptWarnings: b.AcceptWarnings, Retries: -1}
		if user != "" {
			c.BasicAuth = &prom.BasicAuth{Username: user, Password: password}
		}
		if b.Timeout != nil {
			c.Timeout = analysis.Duration(b.Timeout.Duration)
		}
		if err := c.Validate(); err != nil {
			return nil, fmt.Errorf("spec.%w", err)
		}
	}
	if c == nil {
		return nil, nil
	}
	key, err := json.Marshal(c) //nolint:gosec // a key of a map in this process, with all that tells backends apart
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if have := s.kept[string(key)]; have != nil {
		return have, nil
	}
	made, err := prom.NewClient(*c)
	if err != nil {
		return nil, err
	}
	if len(s.kept) >= maxSources || s.kept == nil {
		s.kept = map[string]analysis.Source{}
	}
	source := prom.NewSource(made)
	s.kept[string(key)] = source
	return source, nil
}

// traces is where the failed traces of a CanaryRelease are searched; nil when
// nobody says.
func (s *sources) traces(ctx context.Context, cr *v1alpha1.CanaryRelease) (tracing.Source, error) {
	t := cr.Spec.Traces
	if t == nil || t.Tempo == nil && t.Jaeger == nil {
		return s.search, nil
	}
	b, field := t.Tempo, "spec.traces.tempo"
	if t.Jaeger != nil {
		b, field = t.Jaeger, "spec.traces.jaeger"
	}
	token, user, _, err := s.credentials(ctx, cr.Namespace, field, b)
	if err != nil {
		return nil, err
	}
	if user != "" {
		return nil, fmt.Errorf("%s.secretRef: a trace backend takes a token, not username and password", field)
	}
	o := tracing.Options{Token: token, Headers: b.Headers}
	if t.Jaeger != nil {
		return tracing.NewJaeger(b.URL, o)
	}
	return tracing.NewTempo(b.URL, o)
}

// credentials reads the Secret of a backend.
func (s *sources) credentials(ctx context.Context, namespace, field string, b *v1alpha1.Backend) (token, user, password string, err error) {
	if b.SecretRef == nil {
		return "", "", "", nil
	}
	var secret corev1.Secret
	if err := s.reader.Get(ctx, client.ObjectKey{Namespace: namespace, Name: b.SecretRef.Name}, &secret); err != nil {
		return "", "", "", fmt.Errorf("%s.secretRef: %w", field, err)
	}
	token, user, password = string(secret.Data["token"]), string(secret.Data["username"]), string(secret.Data["password"])
	if token == "" && user == "" {
		return "", "", "", fmt.Errorf("%s.secretRef: Secret %s has neither the key token nor the keys username and password", field, b.SecretRef.Name)
	}
	return token, user, password, nil
}
