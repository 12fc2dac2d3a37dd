package otlp

import (
	"context"
	"net/textproto"

	"go.opentelemetry.io/collector/component"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// authenticator is the Collector extension that checks the Authorization
// header of gRPC metadata and HTTP requests alike.
type authenticator struct {
	component.StartFunc
	component.ShutdownFunc
	check func(authorization string) error
}

// Authenticate implements extensionauth.Server.
func (a *authenticator) Authenticate(ctx context.Context, headers map[string][]string) (context.Context, error) {
	value := ""
	for name, values := range headers {
		if textproto.CanonicalMIMEHeaderKey(name) == "Authorization" && len(values) > 0 {
			value = values[0]
			break
		}
	}
	if err := a.check(value); err != nil {
		return ctx, status.Error(codes.Unauthenticated, err.Error())
	}
	return ctx, nil
}
