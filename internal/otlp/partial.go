package otlp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/extension/extensionmiddleware"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
)

// rejections are the items of one request that were not kept.
type rejections struct {
	mu      sync.Mutex
	count   int64
	message string
}

type rejectionsKey struct{}

// Reject records that n items (spans, data points or log records) of the
// request that ctx belongs to were not kept and must not be sent again, and
// why. The answer to the sender is then a partial success. A count of 0 with a
// message is a warning. Several calls add up. Outside of a request it does
// nothing.
func Reject(ctx context.Context, n int64, message string) {
	r, ok := ctx.Value(rejectionsKey{}).(*rejections)
	if !ok {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count += n
	switch {
	case r.message == "":
		r.message = message
	case !strings.Contains(r.message, message):
		r.message += "; " + message
	}
}

func (r *rejections) get() (int64, string, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.count, r.message, r.count != 0 || r.message != ""
}

// middleware turns rejections into partial_success answers: the Collector's
// receiver always answers with an empty, that is full, success.
type middleware struct {
	component.StartFunc
	component.ShutdownFunc
}

// GetGRPCServerOptions implements extensionmiddleware.GRPCServer.
func (m *middleware) GetGRPCServerOptions(context.Context) ([]grpc.ServerOption, error) {
	return []grpc.ServerOption{grpc.ChainUnaryInterceptor(
		func(ctx context.Context, req any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
			r := &rejections{}
			resp, err := handler(context.WithValue(ctx, rejectionsKey{}, r), req)
			if err != nil {
				return resp, err
			}
			n, message, any := r.get()
			if !any {
				return resp, nil
			}
			// The message's Go type is internal to pdata; its wire format is not.
			raw, ok := resp.(interface{ UnmarshalProto([]byte) error })
			if !ok {
				return resp, nil
			}
			body, err := partialSuccess(info.FullMethod, n, message, false)
			if err != nil {
				return nil, err
			}
			return resp, raw.UnmarshalProto(body)
		})}, nil
}

// GetHTTPHandler implements extensionmiddleware.HTTPServer.
func (m *middleware) GetHTTPHandler(context.Context) (extensionmiddleware.WrapHTTPHandlerFunc, error) {
	return func(_ context.Context, next http.Handler) (http.Handler, error) {
		return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
			r := &rejections{}
			body := &limitedBody{ReadCloser: req.Body}
			req = req.WithContext(context.WithValue(req.Context(), rejectionsKey{}, r))
			req.Body = body
			answer := &answer{header: w.Header(), code: http.StatusOK}
			next.ServeHTTP(answer, req)
			if body.tooLarge && answer.code == http.StatusBadRequest {
				answer.code = http.StatusRequestEntityTooLarge
			}
			if n, message, any := r.get(); any && answer.code == http.StatusOK {
				json := strings.HasPrefix(w.Header().Get("Content-Type"), "application/json")
				if partial, err := partialSuccess(req.URL.Path, n, message, json); err == nil {
					answer.body.Reset()
					answer.body.Write(partial)
				}
			}
			w.WriteHeader(answer.code)
			_, _ = w.Write(answer.body.Bytes()) // the sender has gone; nothing is left to do
		}), nil
	}, nil
}

// limitedBody notes that the receiver's size limit cut the body off, which it
// answers with 400 where HTTP has 413.
type limitedBody struct {
	io.ReadCloser
	tooLarge bool
}

func (b *limitedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	var limit *http.MaxBytesError
	if errors.As(err, &limit) {
		b.tooLarge = true
		err = fmt.Errorf("the request is larger than listen.maxRequest (%d bytes); send smaller batches", limit.Limit)
	}
	return n, err
}

// answer holds a response back until it is known whether it is partial.
type answer struct {
	header http.Header
	code   int
	body   bytes.Buffer
}

func (a *answer) Header() http.Header         { return a.header }
func (a *answer) WriteHeader(code int)        { a.code = code }
func (a *answer) Write(p []byte) (int, error) { return a.body.Write(p) }

// partialSuccess encodes the answer for the signal that target, a gRPC method
// or an HTTP path, names.
func partialSuccess(target string, n int64, message string, json bool) ([]byte, error) {
	switch {
	case strings.Contains(strings.ToLower(target), "trace"):
		resp := ptraceotlp.NewExportResponse()
		resp.PartialSuccess().SetRejectedSpans(n)
		resp.PartialSuccess().SetErrorMessage(message)
		return encode(resp, json)
	case strings.Contains(strings.ToLower(target), "metrics"):
		resp := pmetricotlp.NewExportResponse()
		resp.PartialSuccess().SetRejectedDataPoints(n)
		resp.PartialSuccess().SetErrorMessage(message)
		return encode(resp, json)
	default:
		resp := plogotlp.NewExportResponse()
		resp.PartialSuccess().SetRejectedLogRecords(n)
		resp.PartialSuccess().SetErrorMessage(message)
		return encode(resp, json)
	}
}

func encode(m interface {
	MarshalProto() ([]byte, error)
	MarshalJSON() ([]byte, error)
}, json bool) ([]byte, error) {
	if json {
		return m.MarshalJSON()
	}
	return m.MarshalProto()
}
