package helm

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestRedactCommandLineSecrets(t *testing.T) {
	const secret = "C4nary-S3cret!"
	cases := []struct {
		reason string
		args   []string
		env    []string
	}{
		{reason: "--set", args: []string{"--set", "db.password=" + secret}},
		{reason: "--set=", args: []string{"--set=db.password=" + secret}},
		{reason: "several in one", args: []string{"--set", "a=1,b.c=" + secret + ",d=2"}},
		{reason: "in a list", args: []string{"--set", "a={x," + secret + "}"}},
		{reason: "before the verb", args: nil},
		{reason: "--set-string", args: []string{"--set-string", "k=" + secret}},
		{reason: "--set-literal", args: []string{"--set-literal", "k=" + secret}},
		{reason: "--set-file", args: []string{"--set-file", "k=" + secret}},
		{reason: "--set-json", args: []string{"--set-json", `k={"x":["` + secret + `"]}`}},
		{reason: "--set-json, several", args: []string{"--set-json", `a="x",k="` + secret + `"`}},
		{reason: "--set-json, whole", args: []string{"--set-json", `{"k": "` + secret + `"}`}},
		{reason: "--password", args: []string{"--password", secret}},
		{reason: "--password=", args: []string{"--password=" + secret}},
		{reason: "--kube-token", args: []string{"--kube-token", secret}},
		{reason: "a flag that nobody knows", args: []string{"--new-secret=" + secret}},
		{reason: "a repository's URL", args: []string{"--repo", "https://user:" + secret + "@charts.example.com"}},
		{reason: "a variable of a telling name", env: []string{"GITLAB_TOKEN=" + secret}},
		{reason: "Helm's token", env: []string{"HELM_KUBETOKEN=" + secret}},
		{reason: "OTLP headers", env: []string{"OTEL_EXPORTER_OTLP_HEADERS=a=b,api-key=" + secret}},
	}
	for _, c := range cases {
		t.Run(c.reason, func(t *testing.T) {
			args := append([]string{"upgrade", "web", "./chart"}, c.args...)
			if c.reason == "before the verb" {
				args = []string{"--set", "a=" + secret, "upgrade", "web", "./chart"}
			}
			inv := Parse(4, args)
			if len(c.env) == 0 && strings.Contains(strings.Join(inv.SafeArgs(), " "), secret) {
				t.Errorf("in the arguments: %q", inv.SafeArgs())
			}
			if len(c.args) == 0 && len(c.env) == 0 && c.reason != "before the verb" {
				t.Fatal("the case has no secret")
			}
			r := NewRedactor(inv, c.env)
			for _, text := range []string{
				"%s", "Error: template: web/templates/a.yaml:1:2: executing: %s: no such key",
				`spec.x: Invalid value: "%s": must be shorter`, "prefix%ssuffix", "https://h/%s?x", "a=%s", "key: '%s'",
			} {
				for form, value := range map[string]string{
					"plain": secret, "base64": base64.StdEncoding.EncodeToString([]byte(secret)), "quoted": strings.Trim(fmt.Sprintf("%q", secret), `"`),
				} {
					got := r.Redact(fmt.Sprintf(text, value))
					if strings.Contains(got, value) {
						t.Errorf("%s in %q", form, got)
					}
				}
			}
		})
	}
}

func TestRedactLeavesTheCauseReadable(t *testing.T) {
	inv := Parse(4, strings.Fields("upgrade web repo/web -n shop --set image.tag=v1.2.3,image.repository=registry.example.com/web,replicas=3 "+
		"--set env=prod --set name=web --set debug=true --set-string cpu=500m"))
	r := NewRedactor(inv, []string{"HOME=/root", "PATH=/usr/bin:/bin", "GITHUB_TOKEN_PERMISSIONS=write-all", "AWS_WEB_IDENTITY_TOKEN_FILE=/var/run/token"})
	for _, text := range []string{
		`Deployment shop/web: container web: ErrImagePull: registry.example.com/web:v1.2.3: not found`,
		`resource Deployment/shop/web not ready. status: InProgress, message: 2 of 3 updated replicas are available`,
		`Readiness probe failed: Get "http://10.1.2.3:8080/ready": dial tcp 10.1.2.3:8080: connect: connection refused`,
		`0/3 nodes are available: 3 Insufficient cpu (500m)`,
		`Error: UPGRADE FAILED: another operation (install/upgrade/rollback) is in progress`,
		`secret "web-credentials" not found`,
		`MountVolume.SetUp failed for volume "tls" : secret "web-tls" not found`,
		`production is true`,
		`couldn't find key token in Secret shop/web`,
	} {
		if diff := cmp.Diff(text, r.Redact(text)); diff != "" {
			t.Errorf("-text +redacted:\n%s", diff)
		}
	}
}

func TestRedactPatterns(t *testing.T) {
	jwt := "eyJhbGciOiJSUzI1NiIsImtpZCI6IiJ9.eyJpc3MiOiJrdWJlcm5ldGVzIn0.c2lnbmF0dXJl"
	cases := map[string]string{
		"Authorization: Bearer abc123.def-456":                 "Authorization: ***",
		"curl -H 'authorization: Basic dXNlcjpwYXNz' http://x": "curl -H 'authorization: ***' http://x",
		"using bearer abcdef0123456789 now":                    "using bearer *** now",
		"password=hunter22, user=bob":                          "password=***, user=bob",
		`{"db_password": "p,w\"d", "user": "bob"}`:             `{"db_password": ***, "user": "bob"}`,
		"token: " + jwt:                                                        "token: ***",
		"got " + jwt + " from the API":                                         "got *** from the API",
		"AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG":                          "AWS_SECRET_ACCESS_KEY=***",
		"key AKIAIOSFODNN7EXAMPLE is disabled":                                 "key *** is disabled",
		"postgres://app:s3cr3t@db:5432/shop":                                   "postgres://***@db:5432/shop",
		"https://token@github.com/a/b":                                         "https://***@github.com/a/b",
		"https://github.com/a/b@v1":                                            "https://github.com/a/b@v1",
		"-----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY-----": "***",
		"-----BEGIN PRIVATE KEY----- MIIEow (cut":                              "***",
		"push with ghp_0123456789abcdefghijABCDEFGHIJ":                         "push with ***",
		"--api-key=abc --verbose":                                              "--api-key=*** --verbose",
		"nothing here":                                                         "nothing here",
	}
	var none *Redactor
	for text, want := range cases {
		got := none.Redact(text)
		if got != want {
			t.Errorf("%q\n got %q\nwant %q", text, got, want)
		}
		if again := none.Redact(got); again != got {
			t.Errorf("not stable: %q becomes %q", got, again)
		}
	}
}

func TestSafeArgs(t *testing.T) {
	cases := []struct{ line, want string }{
		{"upgrade web ./c --set a.b=x,c=y --timeout 5m", "upgrade web ./c --set a.b=*** --timeout 5m"},
		{"upgrade web ./c --set=a=x -f values.yaml", "upgrade web ./c --set=a=*** -f values.yaml"},
		{"upgrade web ./c --set-json {\"a\":1}", "upgrade web ./c --set-json ***"},
		{"upgrade web ./c --set hunter2", "upgrade web ./c --set ***"},
		{"install web oci://u:p@r/c --username bob --password=pw --kube-token t", "install web oci://***@r/c --username *** --password=*** --kube-token ***"},
		{"upgrade web ./c --unknown=value", "upgrade web ./c --unknown=***"},
		{"registry login -u bob -p hunter2", "registry"},
		{"-n shop secrets enc file", "secrets"},
	}
	for _, c := range cases {
		if diff := cmp.Diff(c.want, strings.Join(Parse(4, strings.Fields(c.line)).SafeArgs(), " ")); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
	}
}

func FuzzRedact(f *testing.F) {
	for _, s := range []string{"hunter2!", "a,b=c", `quo"te\`, "päss wörd", "x{y}z,w", "{a,b}=c,d", "tab\there", "1234567", "***abc", "$1${2}abc", "line\none two"} {
		for flag := range 6 {
			f.Add(s, flag, "Error: ", " is invalid")
		}
	}
	flags := []string{"--set", "--set-string", "--set-literal", "--set-file", "--password", "--set-json"}
	f.Fuzz(func(t *testing.T, secret string, flag int, before, after string) {
		trimmed := strings.TrimSpace(secret)
		if len(trimmed) < minSecret || harmless(trimmed) || strings.Contains(Redacted, trimmed) || strings.Contains(trimmed, Redacted) {
			t.Skip()
		}
		name := flags[uint(flag)%uint(len(flags))]
		value := secret
		switch name {
		case "--set", "--set-string", "--set-literal", "--set-file":
			value = "some.key=" + secret
		case "--set-json":
			if !utf8.ValidString(secret) {
				t.Skip() // no JSON
			}
			text, _ := json.Marshal(secret)
			value = "some.key=" + string(text)
		}
		inv := Parse(4, []string{"upgrade", "web", "./chart", name, value})
		r := NewRedactor(inv, nil)
		if safe := strings.Join(inv.SafeArgs(), "\x00"); strings.Contains(safe, trimmed) && !strings.Contains("upgrade\x00web\x00./chart\x00"+name+"\x00some.key="+Redacted, trimmed) {
			t.Errorf("%q in the arguments %q", secret, safe)
		}
		got := r.Redact(before + trimmed + after)
		if strings.Contains(got, trimmed) && !strings.Contains(before+Redacted+after, trimmed) {
			t.Errorf("%q given by %s survives in %q", trimmed, name, got)
		}
	})
}

func BenchmarkRedact(b *testing.B) {
	inv := Parse(4, strings.Fields("upgrade web ./c --set a=secretvalue1,b=secretvalue2 --set-string c=secretvalue3"))
	r := NewRedactor(inv, []string{"GITHUB_TOKEN=abcdefghijklmnop"})
	line := "Readiness probe failed: Get \"http://10.1.2.3:8080/ready\": dial tcp 10.1.2.3:8080: connect: connection refused"
	b.SetBytes(int64(len(line)))
	for b.Loop() {
		r.Redact(line)
	}
}
