package helm

import (
	"strconv"
	"strings"
)

// Target says which cluster and namespace an invocation talks to, for a client
// of our own beside Helm's. Flags win over HELM_* variables.
type Target struct {
	// Namespace is "" when neither flag nor variable names one: then it is the
	// one of the kubeconfig's context, or "default".
	Namespace string

	Kubeconfig  string // --kubeconfig or KUBECONFIG, possibly a list of paths
	KubeContext string // --kube-context or HELM_KUBECONTEXT

	APIServer             string   // --kube-apiserver or HELM_KUBEAPISERVER
	Token                 string   // --kube-token or HELM_KUBETOKEN; a secret
	AsUser                string   // --kube-as-user or HELM_KUBEASUSER
	AsGroups              []string // --kube-as-group or HELM_KUBEASGROUPS
	CAFile                string   // --kube-ca-file or HELM_KUBECAFILE
	TLSServerName         string   // --kube-tls-server-name or HELM_KUBETLS_SERVER_NAME
	InsecureSkipTLSVerify bool     // --kube-insecure-skip-tls-verify or HELM_KUBEINSECURE_SKIP_TLS_VERIFY

	// Driver is HELM_DRIVER: "" and "secret" are Secrets; "configmap",
	// "memory" and "sql" are Helm's other stores.
	Driver string
}

// Target returns the cluster and namespace of the invocation; getenv returns an
// environment variable or "".
func (inv Invocation) Target(getenv func(string) string) Target {
	t := Target{
		Namespace:     getenv("HELM_NAMESPACE"),
		Kubeconfig:    getenv("KUBECONFIG"),
		KubeContext:   getenv("HELM_KUBECONTEXT"),
		APIServer:     getenv("HELM_KUBEAPISERVER"),
		Token:         getenv("HELM_KUBETOKEN"),
		AsUser:        getenv("HELM_KUBEASUSER"),
		CAFile:        getenv("HELM_KUBECAFILE"),
		TLSServerName: getenv("HELM_KUBETLS_SERVER_NAME"),
		Driver:        strings.ToLower(getenv("HELM_DRIVER")),
	}
	t.InsecureSkipTLSVerify, _ = strconv.ParseBool(getenv("HELM_KUBEINSECURE_SKIP_TLS_VERIFY"))
	if groups := strings.Trim(getenv("HELM_KUBEASGROUPS"), ", "); groups != "" {
		t.AsGroups = strings.Split(groups, ",")
	}
	groupTyped := false
	for _, f := range inv.flags {
		switch f.name {
		case "namespace":
			t.Namespace = f.value
		case "kubeconfig":
			t.Kubeconfig = f.value
		case "kube-context":
			t.KubeContext = f.value
		case "kube-apiserver":
			t.APIServer = f.value
		case "kube-token":
			t.Token = f.value
		case "kube-as-user":
			t.AsUser = f.value
		case "kube-ca-file":
			t.CAFile = f.value
		case "kube-tls-server-name":
			t.TLSServerName = f.value
		case "kube-insecure-skip-tls-verify":
			t.InsecureSkipTLSVerify = f.on()
		case "kube-as-group":
			if !groupTyped {
				t.AsGroups, groupTyped = nil, true
			}
			t.AsGroups = append(t.AsGroups, f.value)
		}
	}
	return t
}
