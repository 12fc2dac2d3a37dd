package otlp

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// sink counts what arrives.
type sink struct {
	mu      sync.Mutex
	spans   int
	points  int
	records int
	env     string // deployment.environment of the last resource
	err     error
	reject  int64
}

func (s *sink) consumers() Consumers {
	done := func(ctx context.Context) error {
		if s.reject > 0 {
			Reject(ctx, s.reject, "too old")
		}
		return s.err
	}
	return Consumers{
		Traces: func(ctx context.Context, td ptrace.Traces) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.spans += td.SpanCount()
			if v, ok := td.ResourceSpans().At(0).Resource().Attributes().Get("deployment.environment"); ok {
				s.env = v.Str()
			}
			return done(ctx)
		},
		Metrics: func(ctx context.Context, md pmetric.Metrics) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.points += md.DataPointCount()
			return done(ctx)
		},
		Logs: func(ctx context.Context, ld plog.Logs) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.records += ld.LogRecordCount()
			return done(ctx)
		},
	}
}

func (s *sink) counts() (spans, points, records int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.spans, s.points, s.records
}

func start(t *testing.T, o ReceiverOptions, s *sink) *Receiver {
	t.Helper()
	o.GRPC, o.HTTP = "127.0.0.1:0", "127.0.0.1:0"
	r, err := NewReceiver(o, s.consumers())
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Shutdown(context.Background()) })
	return r
}

func gauge(n int) pmetric.Metrics {
	md := pmetric.NewMetrics()
	g := md.ResourceMetrics().AppendEmpty().ScopeMetrics().AppendEmpty().Metrics().AppendEmpty()
	g.SetName("g")
	points := g.SetEmptyGauge().DataPoints()
	for i := range n {
		points.AppendEmpty().SetIntValue(int64(i))
	}
	return md
}

func spans(n int) ptrace.Traces {
	td := ptrace.NewTraces()
	list := td.ResourceSpans().AppendEmpty().ScopeSpans().AppendEmpty().Spans()
	for range n {
		list.AppendEmpty().SetName("s")
	}
	return td
}

func records(n int) plog.Logs {
	ld := plog.NewLogs()
	list := ld.ResourceLogs().AppendEmpty().ScopeLogs().AppendEmpty().LogRecords()
	for range n {
		list.AppendEmpty().Body().SetStr("r")
	}
	return ld
}

func dial(t *testing.T, r *Receiver, opts ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	if len(opts) == 0 {
		opts = []grpc.DialOption{grpc.WithTransportCredentials(insecure.NewCredentials())}
	}
	c, err := grpc.NewClient(r.GRPCAddr(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func post(t *testing.T, client *http.Client, url, contentType, encoding string, body []byte, headers ...string) (int, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", contentType)
	if encoding != "" {
		req.Header.Set("Content-Encoding", encoding)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, data
}

func TestAllSignalsOverBothProtocols(t *testing.T) {
	s := &sink{}
	r := start(t, ReceiverOptions{}, s)
	c := dial(t, r)
	ctx := t.Context()
	if _, err := ptraceotlp.NewGRPCClient(c).Export(ctx, ptraceotlp.NewExportRequestFromTraces(spans(2))); err != nil {
		t.Error(err)
	}
	if _, err := pmetricotlp.NewGRPCClient(c).Export(ctx, pmetricotlp.NewExportRequestFromMetrics(gauge(3))); err != nil {
		t.Error(err)
	}
	if _, err := plogotlp.NewGRPCClient(c).Export(ctx, plogotlp.NewExportRequestFromLogs(records(4))); err != nil {
		t.Error(err)
	}
	proto, _ := pmetricotlp.NewExportRequestFromMetrics(gauge(3)).MarshalProto()
	json, _ := pmetricotlp.NewExportRequestFromMetrics(gauge(3)).MarshalJSON()
	var zipped bytes.Buffer
	w := gzip.NewWriter(&zipped)
	_, _ = w.Write(proto)
	_ = w.Close()
	enc, _ := zstd.NewWriter(nil)
	for _, body := range []struct {
		kind, encoding string
		data           []byte
	}{
		{"application/x-protobuf", "", proto},
		{"application/json", "", json},
		{"application/x-protobuf", "gzip", zipped.Bytes()},
		{"application/json", "zstd", enc.EncodeAll(json, nil)},
	} {
		if code, answer := post(t, http.DefaultClient, "http://"+r.HTTPAddr()+"/v1/metrics", body.kind, body.encoding, body.data); code != 200 {
			t.Errorf("%s %s: %d %s", body.kind, body.encoding, code, answer)
		}
	}
	if n, p, l := s.counts(); n != 2 || p != 3+4*3 || l != 4 {
		t.Errorf("got %d spans, %d points, %d records; want 2, 15, 4", n, p, l)
	}
}

func TestPartialSuccess(t *testing.T) {
	s := &sink{reject: 2}
	r := start(t, ReceiverOptions{}, s)
	resp, err := pmetricotlp.NewGRPCClient(dial(t, r)).Export(t.Context(), pmetricotlp.NewExportRequestFromMetrics(gauge(3)))
	if err != nil {
		t.Fatal(err)
	}
	if got := resp.PartialSuccess(); got.RejectedDataPoints() != 2 || got.ErrorMessage() != "too old" {
		t.Errorf("gRPC: rejected %d, %q", got.RejectedDataPoints(), got.ErrorMessage())
	}
	traces, err := ptraceotlp.NewGRPCClient(dial(t, r)).Export(t.Context(), ptraceotlp.NewExportRequestFromTraces(spans(3)))
	if err != nil || traces.PartialSuccess().RejectedSpans() != 2 {
		t.Errorf("gRPC traces: %v, rejected %d", err, traces.PartialSuccess().RejectedSpans())
	}
	body, _ := plogotlp.NewExportRequestFromLogs(records(3)).MarshalJSON()
	code, answer := post(t, http.DefaultClient, "http://"+r.HTTPAddr()+"/v1/logs", "application/json", "", body)
	logs := plogotlp.NewExportResponse()
	if err := logs.UnmarshalJSON(answer); err != nil || code != 200 || logs.PartialSuccess().RejectedLogRecords() != 2 {
		t.Errorf("HTTP JSON: %d %s %v", code, answer, err)
	}
	body, _ = plogotlp.NewExportRequestFromLogs(records(3)).MarshalProto()
	code, answer = post(t, http.DefaultClient, "http://"+r.HTTPAddr()+"/v1/logs", "application/x-protobuf", "", body)
	logs = plogotlp.NewExportResponse()
	if err := logs.UnmarshalProto(answer); err != nil || code != 200 || logs.PartialSuccess().RejectedLogRecords() != 2 {
		t.Errorf("HTTP protobuf: %d %q %v", code, answer, err)
	}
}

func TestConsumerErrorAsksForARetry(t *testing.T) {
	s := &sink{err: errors.New("disk full")}
	r := start(t, ReceiverOptions{}, s)
	_, err := pmetricotlp.NewGRPCClient(dial(t, r)).Export(t.Context(), pmetricotlp.NewExportRequestFromMetrics(gauge(1)))
	if status.Code(err) != codes.Unavailable {
		t.Errorf("gRPC: %v, want Unavailable", err)
	}
	body, _ := pmetricotlp.NewExportRequestFromMetrics(gauge(1)).MarshalProto()
	if code, _ := post(t, http.DefaultClient, "http://"+r.HTTPAddr()+"/v1/metrics", "application/x-protobuf", "", body); code != 503 {
		t.Errorf("HTTP: %d, want 503", code)
	}
}

func TestOversizedRequestsAreRefused(t *testing.T) {
	s := &sink{}
	r := start(t, ReceiverOptions{MaxRequestBytes: 1 << 20}, s)
	big := gauge(1)
	big.ResourceMetrics().At(0).Resource().Attributes().PutStr("x", strings.Repeat("x", 2<<20))
	_, err := pmetricotlp.NewGRPCClient(dial(t, r)).Export(t.Context(), pmetricotlp.NewExportRequestFromMetrics(big))
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("gRPC: %v, want ResourceExhausted", err)
	}
	body, _ := pmetricotlp.NewExportRequestFromMetrics(big).MarshalProto()
	var zipped bytes.Buffer // small on the wire, large in memory
	w := gzip.NewWriter(&zipped)
	_, _ = w.Write(body)
	_ = w.Close()
	for encoding, data := range map[string][]byte{"": body, "gzip": zipped.Bytes()} {
		code, answer := post(t, http.DefaultClient, "http://"+r.HTTPAddr()+"/v1/metrics", "application/x-protobuf", encoding, data)
		if code != http.StatusRequestEntityTooLarge || !bytes.Contains(answer, []byte("listen.maxRequest")) {
			t.Errorf("HTTP %q: %d %q, want 413 and the setting's name", encoding, code, answer)
		}
	}
	if _, p, _ := s.counts(); p != 0 {
		t.Errorf("%d points arrived", p)
	}
}

func TestTokens(t *testing.T) {
	s := &sink{}
	r := start(t, ReceiverOptions{Authenticate: func(a string) error {
		if a != "Bearer secret" {
			return errors.New("no")
		}
		return nil
	}}, s)
	client := pmetricotlp.NewGRPCClient(dial(t, r))
	req := pmetricotlp.NewExportRequestFromMetrics(gauge(1))
	if _, err := client.Export(t.Context(), req); status.Code(err) != codes.Unauthenticated {
		t.Errorf("gRPC without a token: %v", err)
	}
	ctx := metadata.AppendToOutgoingContext(t.Context(), "authorization", "Bearer secret")
	if _, err := client.Export(ctx, req); err != nil {
		t.Errorf("gRPC with the token: %v", err)
	}
	body, _ := req.MarshalProto()
	url := "http://" + r.HTTPAddr() + "/v1/metrics"
	if code, _ := post(t, http.DefaultClient, url, "application/x-protobuf", "", body); code != 401 {
		t.Errorf("HTTP without a token: %d", code)
	}
	if code, _ := post(t, http.DefaultClient, url, "application/x-protobuf", "", body, "Authorization", "Bearer secret"); code != 200 {
		t.Errorf("HTTP with the token: %d", code)
	}
	if _, p, _ := s.counts(); p != 2 {
		t.Errorf("%d points arrived, want 2", p)
	}
}

// authority signs certificates for 127.0.0.1.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	file string
}

func newAuthority(t *testing.T) *authority {
	a := &authority{t: t, dir: t.TempDir()}
	a.key, _ = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	a.cert, _ = x509.ParseCertificate(der)
	a.file = a.write("ca.pem", "CERTIFICATE", der)
	return a
}

func (a *authority) write(name, kind string, der []byte) string {
	path := filepath.Join(a.dir, name)
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
	return path
}

func (a *authority) issue(name string) (certFile, keyFile string) {
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, &key.PublicKey, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	raw, _ := x509.MarshalECPrivateKey(key)
	return a.write(name+".pem", "CERTIFICATE", der), a.write(name+".key", "EC PRIVATE KEY", raw)
}

func (a *authority) client(certFile, keyFile string) *tls.Config {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	c := &tls.Config{RootCAs: pool}
	if certFile != "" {
		pair, err := tls.LoadX509KeyPair(certFile, keyFile)
		if err != nil {
			a.t.Fatal(err)
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c
}

func TestTLSAndClientCertificates(t *testing.T) {
	a := newAuthority(t)
	cert, key := a.issue("server")
	clientCert, clientKey := a.issue("client")
	for name, ca := range map[string]string{"TLS": "", "mTLS": a.file} {
		t.Run(name, func(t *testing.T) {
			r := start(t, ReceiverOptions{TLS: &TLS{CertFile: cert, KeyFile: key, ClientCAFile: ca}}, &sink{})
			body, _ := pmetricotlp.NewExportRequestFromMetrics(gauge(1)).MarshalProto()
			for with, conf := range map[string]*tls.Config{"with": a.client(clientCert, clientKey), "without": a.client("", "")} {
				want := with == "with" || ca == ""
				client := &http.Client{Transport: &http.Transport{TLSClientConfig: conf.Clone()}}
				resp, err := client.Post("https://"+r.HTTPAddr()+"/v1/metrics", "application/x-protobuf", bytes.NewReader(body))
				if (err == nil && resp.StatusCode == http.StatusOK) != want {
					t.Errorf("HTTP %s a certificate: %v %v, want success %v", with, resp, err, want)
				}
				if err == nil {
					resp.Body.Close()
				}
				_, err = pmetricotlp.NewGRPCClient(dial(t, r, grpc.WithTransportCredentials(credentials.NewTLS(conf.Clone())))).
					Export(t.Context(), pmetricotlp.NewExportRequestFromMetrics(gauge(1)))
				if (err == nil) != want {
					t.Errorf("gRPC %s a certificate: %v, want success %v", with, err, want)
				}
			}
		})
	}
}
