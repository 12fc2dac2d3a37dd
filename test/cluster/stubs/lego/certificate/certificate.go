// Package certificate has the requests for certificates; none is ever issued.
package certificate

import (
	"context"
	"errors"

	"github.com/go-acme/lego/v5/certcrypto"
)

var errNoACME = errors.New("this build has no ACME")

// Resource is an issued certificate.
type Resource struct {
	ID          string
	Domains     []string
	PrivateKey  []byte
	Certificate []byte
}

// ObtainRequest asks for a certificate.
type ObtainRequest struct {
	Domains          []string
	Bundle           bool
	EmailAddresses   []string
	Profile          string
	PreferredChain   string
	EnableCommonName bool
	KeyType          certcrypto.KeyType
}

// RenewOptions are those of a renewal.
type RenewOptions struct {
	Bundle           bool
	EmailAddresses   []string
	Profile          string
	PreferredChain   string
	EnableCommonName bool
}

// Certifier issues nothing.
type Certifier struct{}

// Obtain returns an error.
func (*Certifier) Obtain(context.Context, ObtainRequest) (*Resource, error) { return nil, errNoACME }

// Renew returns an error.
func (*Certifier) Renew(context.Context, Resource, *RenewOptions) (*Resource, error) {
	return nil, errNoACME
}
