package pki

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"testing"
	"time"

	"sigs.k8s.io/yaml"
)

func TestIssuedCertificatesVerify(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	authority, err := NewAuthority("test", now)
	if err != nil {
		t.Fatal(err)
	}
	other, err := NewAuthority("test", now)
	if err != nil {
		t.Fatal(err)
	}
	server, err := authority.Issue(Subject{Name: "server", Hosts: []string{"localhost", "127.0.0.1"}})
	if err != nil {
		t.Fatal(err)
	}
	client, err := authority.Issue(Subject{Name: "client", Groups: []string{"system:masters"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		reason    string
		authority *Authority
		pair      Pair
		host      string
		usage     x509.ExtKeyUsage
		at        time.Time
		ok        bool
	}{
		{"a server by name", authority, server, "localhost", x509.ExtKeyUsageServerAuth, now, true},
		{"a server by address", authority, server, "127.0.0.1", x509.ExtKeyUsageServerAuth, now, true},
		{"a client", authority, client, "", x509.ExtKeyUsageClientAuth, now, true},
		{"a client is no server", authority, client, "", x509.ExtKeyUsageServerAuth, now, false},
		{"another name", authority, server, "example.com", x509.ExtKeyUsageServerAuth, now, false},
		{"another authority of the same name", other, server, "localhost", x509.ExtKeyUsageServerAuth, now, false},
		{"too late", authority, server, "localhost", x509.ExtKeyUsageServerAuth, now.Add(lifetime + time.Hour), false},
	} {
		pool := x509.NewCertPool()
		pool.AppendCertsFromPEM(tt.authority.Certificate)
		pair, err := tls.X509KeyPair(tt.pair.Certificate, tt.pair.Key)
		if err != nil {
			t.Fatalf("%s: %v", tt.reason, err)
		}
		_, err = pair.Leaf.Verify(x509.VerifyOptions{Roots: pool, DNSName: tt.host, CurrentTime: tt.at, KeyUsages: []x509.ExtKeyUsage{tt.usage}})
		if (err == nil) != tt.ok {
			t.Errorf("%s: %v", tt.reason, err)
		}
	}
}

func TestKubeconfigHoldsThePair(t *testing.T) {
	pair := Pair{Certificate: []byte("certificate"), Key: []byte("key")}
	var config struct {
		Clusters []struct {
			Cluster struct {
				Server    string `json:"server"`
				Authority string `json:"certificate-authority-data"`
			} `json:"cluster"`
		} `json:"clusters"`
		Users []struct {
			User struct {
				Certificate string `json:"client-certificate-data"`
				Key         string `json:"client-key-data"`
			} `json:"user"`
		} `json:"users"`
	}
	if err := yaml.Unmarshal(Kubeconfig("https://127.0.0.1:6443", []byte("ca"), "admin", pair), &config); err != nil {
		t.Fatal(err)
	}
	decode := func(s string) string {
		b, err := base64.StdEncoding.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	c, u := config.Clusters[0].Cluster, config.Users[0].User
	if c.Server != "https://127.0.0.1:6443" || decode(c.Authority) != "ca" || decode(u.Certificate) != "certificate" || decode(u.Key) != "key" {
		t.Errorf("%+v", config)
	}
}

func TestSigningKeyPairBelongsTogether(t *testing.T) {
	private, public, err := NewSigningKey()
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(private)
	key, err := x509.ParseECPrivateKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	block, _ = pem.Decode(public)
	got, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if !key.PublicKey.Equal(got) {
		t.Error("the public key is another one's")
	}
}
