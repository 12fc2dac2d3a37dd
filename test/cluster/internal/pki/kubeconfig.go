package pki

import (
	"encoding/base64"
	"fmt"
)

// Kubeconfig is the configuration with which a client reaches the API server
// as the pair's subject.
func Kubeconfig(server string, authority []byte, user string, p Pair) []byte {
	b64 := base64.StdEncoding.EncodeToString
	return fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters:
- name: fairlead-test
  cluster:
    server: %s
    certificate-authority-data: %s
users:
- name: %s
  user:
    client-certificate-data: %s
    client-key-data: %s
contexts:
- name: fairlead-test
  context:
    cluster: fairlead-test
    user: %s
current-context: fairlead-test
`, server, b64(authority), user, b64(p.Certificate), b64(p.Key), user)
}
