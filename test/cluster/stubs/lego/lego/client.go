// Package lego has the ACME client's declarations; NewClient always fails.
package lego

import (
	"context"
	"crypto"
	"crypto/x509"
	"errors"
	"net/http"
	"time"

	"github.com/go-acme/lego/v5/acme"
	"github.com/go-acme/lego/v5/certificate"
	"github.com/go-acme/lego/v5/challenge"
	"github.com/go-acme/lego/v5/challenge/dns01"
	"github.com/go-acme/lego/v5/challenge/http01"
	"github.com/go-acme/lego/v5/challenge/tlsalpn01"
	"github.com/go-acme/lego/v5/registration"
)

// DirectoryURLLetsEncrypt is empty: no certificate authority is known.
const DirectoryURLLetsEncrypt = ""

var errNoACME = errors.New("this build has no ACME")

// User is the owner of an account.
type User interface {
	GetEmail() string
	GetRegistration() *acme.ExtendedAccount
	GetPrivateKey() crypto.Signer
}

// CertificateConfig is the part of Config about certificates.
type CertificateConfig struct {
	Timeout time.Duration
}

// Config is a client's configuration.
type Config struct {
	CADirURL    string
	UserAgent   string
	HTTPClient  *http.Client
	Certificate CertificateConfig
}

// NewConfig returns an empty configuration.
func NewConfig(User) *Config { return &Config{} }

// SolverManager accepts challenge providers and never uses them.
type SolverManager struct{}

// SetDNS01Provider has no effect.
func (*SolverManager) SetDNS01Provider(challenge.Provider, ...dns01.ChallengeOption) error {
	return nil
}

// SetHTTP01Provider has no effect.
func (*SolverManager) SetHTTP01Provider(challenge.Provider, ...http01.ChallengeOption) error {
	return nil
}

// SetTLSALPN01Provider has no effect.
func (*SolverManager) SetTLSALPN01Provider(challenge.Provider, ...tlsalpn01.ChallengeOption) error {
	return nil
}

// Registrar registers nobody.
type Registrar struct{}

// Register returns an error.
func (*Registrar) Register(context.Context, registration.RegisterOptions) (*acme.ExtendedAccount, error) {
	return nil, errNoACME
}

// RegisterWithExternalAccountBinding returns an error.
func (*Registrar) RegisterWithExternalAccountBinding(context.Context, registration.RegisterEABOptions) (*acme.ExtendedAccount, error) {
	return nil, errNoACME
}

// Client is never made.
type Client struct {
	Certificate  *certificate.Certifier
	Challenge    *SolverManager
	Registration *Registrar
}

// NewClient returns an error.
func NewClient(*Config) (*Client, error) { return nil, errNoACME }

// CreateCertPool returns an error.
func CreateCertPool([]string, bool) (*x509.CertPool, error) { return nil, errNoACME }
