// Package registration has the options of an account's registration.
package registration

// RegisterOptions are those of a plain registration.
type RegisterOptions struct {
	TermsOfServiceAgreed bool
}

// RegisterEABOptions are those with external account binding.
type RegisterEABOptions struct {
	TermsOfServiceAgreed bool
	Kid                  string
	HmacEncoded          string
}
