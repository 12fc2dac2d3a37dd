// Package acme has the account types that Traefik stores.
package acme

// Account is an ACME account.
type Account struct {
	Status string `json:"status,omitempty"`
}

// ExtendedAccount is an Account and its URL.
type ExtendedAccount struct {
	Account

	Location string
}
