package config

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
)

// Auth says who may talk to the server. Without tokens everyone who reaches an
// address may; see [Listen.Insecure] for which addresses are allowed then.
type Auth struct {
	Tokens []Token `yaml:"tokens"` // who shows one of them may what it allows
	// Proxy is a proxy in front that says who somebody is; nil = none.
	Proxy *AuthProxy `yaml:"proxy"`
}

// AuthProxy is an authenticating proxy (oauth2-proxy, say) whose headers are
// believed when the request comes from one of its addresses.
type AuthProxy struct {
	From         []string `yaml:"from"`         // addresses of the proxy, in CIDR notation
	UserHeader   string   `yaml:"userHeader"`   // such as X-Forwarded-User
	GroupsHeader string   `yaml:"groupsHeader"` // comma-separated groups; "" = none
	WriteGroups  []string `yaml:"writeGroups"`  // whose members may act
}

func (a *AuthProxy) validate(p *problems) {
	if a.UserHeader == "" {
		p.add("userHeader", nil, "is missing; such as X-Forwarded-User")
	}
	if len(a.From) == 0 {
		p.add("from", nil, "is missing: the proxy's addresses, such as 127.0.0.1/32; others could write the header themselves")
	}
	for i, one := range a.From {
		if prefix, err := netip.ParsePrefix(one); err != nil {
			p.add(index("from", i), one, "want an address with its length, such as 127.0.0.1/32")
		} else if prefix.Bits() == 0 {
			p.add(index("from", i), one, "is everybody: want the proxy's own addresses")
		}
	}
	if len(a.WriteGroups) > 0 && a.GroupsHeader == "" {
		p.add("groupsHeader", nil, "is missing; writeGroups are looked for in it")
	}
}

// Token is a bearer token. Exactly one of Env and File says where it is; the
// file itself never holds it.
type Token struct {
	Name string `yaml:"name"` // in the audit log; required
	Env  string `yaml:"env"`  // environment variable
	File string `yaml:"file"` // path; trailing white space is cut off

	// Access lists what the bearer may do: AccessIngest, AccessRead,
	// AccessWrite. Default: ingest and read.
	Access []string `yaml:"access"`
}

// What a token gives access to.
const (
	AccessIngest = "ingest" // send OTLP
	AccessRead   = "read"   // pages and queries
	AccessWrite  = "write"  // actions: pause, approve, abort, silence
)

// minTokenLength in characters: 16 random base64 characters are 96 bits, beyond
// guessing over a network.
const minTokenLength = 16

func index(list string, i int) string { return fmt.Sprintf("%s[%d]", list, i) }

func (a *Auth) validate(p *problems) {
	if a.Proxy != nil {
		a.Proxy.validate(p.at("proxy"))
	}
	names := map[string]bool{}
	for i := range a.Tokens {
		t, q := &a.Tokens[i], p.at(index("tokens", i))
		if t.Name == "" {
			q.add("name", nil, "is missing; it appears in logs in place of the token")
		} else if names[t.Name] {
			q.add("name", t.Name, "is used twice")
		}
		names[t.Name] = true
		if (t.Env == "") == (t.File == "") {
			q.add("", nil, "want exactly one of env and file")
		}
		for _, a := range t.Access {
			if !slices.Contains([]string{AccessIngest, AccessRead, AccessWrite}, a) {
				q.add("access", a, "want ingest, read or write")
			}
		}
	}
}

// Secret is a token with its text.
type Secret struct {
	Name   string
	Token  string
	Access []string
}

// Resolve reads the tokens from their variables and files. Errors name the
// place, never the text.
func (a *Auth) Resolve() ([]Secret, error) {
	p := (&problems{}).at("auth")
	var out []Secret
	for i, t := range a.Tokens {
		q := p.at(index("tokens", i))
		var text string
		switch {
		case t.Env != "":
			text = os.Getenv(t.Env)
			if text == "" {
				q.add("env", t.Env, "the environment variable is not set")
				continue
			}
		default:
			data, err := os.ReadFile(t.File)
			if err != nil {
				q.add("file", t.File, "%v", err)
				continue
			}
			text = strings.TrimRight(string(data), " \t\r\n")
		}
		if len(text) < minTokenLength || strings.ContainsAny(text, " \t\r\n") {
			q.add("", nil, "the token of %q is shorter than %d characters or has white space in it", t.Name, minTokenLength)
			continue
		}
		access := t.Access
		if len(access) == 0 {
			access = []string{AccessIngest, AccessRead}
		}
		out = append(out, Secret{Name: t.Name, Token: text, Access: access})
	}
	return out, p.join()
}
