// Package ext has the extension points of Traefik's dynamic configuration.
// Traefik keeps them in a nested module that the module proxy does not
// serve; they are empty there too.
package ext

// HTTP extends the HTTP section.
type HTTP struct{}

// DeepCopyInto copies h to out.
func (h *HTTP) DeepCopyInto(out *HTTP) { *out = *h }

// Router extends a router.
type Router struct{}

// DeepCopyInto copies r to out.
func (r *Router) DeepCopyInto(out *Router) { *out = *r }
