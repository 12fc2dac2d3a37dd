package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// Stages at which webhooks are called.
const (
	StageBeforeStep    = "beforeStep"
	StageGate          = "gate"
	StagePromotion     = "promotion"
	StageAfterRollback = "afterRollback"
)

// Webhook is a URL that is posted to, signed. An answer of 2xx is a yes, of 4xx
// a no; anything else is no answer, and it is asked again until the rollout's
// deadline. A no before a step, at a gate or at the promotion rolls back.
type Webhook struct {
	// Name is part of the record.
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name"`
	// Stage is when it is called.
	// +kubebuilder:validation:Enum=beforeStep;gate;promotion;afterRollback
	Stage string `json:"stage"`
	// URL that gets the request, by POST.
	// +kubebuilder:validation:Pattern=`^https?://[^@]+$`
	// +kubebuilder:validation:MaxLength=2048
	URL string `json:"url"`
	// Timeout of one attempt.
	// +kubebuilder:default="10s"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:Pattern=`^([0-9]+(\.[0-9]+)?(ms|s|m))+$`
	Timeout *metav1.Duration `json:"timeout,omitempty"`
	// Secret holds the key that signs the body.
	// +optional
	Secret *SecretKey `json:"secret,omitempty"`
}

// SecretKey refers to a key of a Secret in the CanaryRelease's namespace.
type SecretKey struct {
	// Name of the Secret.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// Key in it.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Key string `json:"key"`
}

// Window is a time of the week at which weight may rise. Rollbacks need none.
//
// +kubebuilder:validation:XValidation:rule="self.from < self.to",fieldPath=".to",message="must be later than from; a window over midnight is two windows"
type Window struct {
	// Days of the week, Mon to Sun; none is every day.
	// +kubebuilder:validation:MaxItems=7
	// +kubebuilder:validation:items:Enum=Mon;Tue;Wed;Thu;Fri;Sat;Sun
	// +listType=set
	// +optional
	Days []string `json:"days,omitempty"`
	// From and To are times of the day, 09:00 to 24:00.
	// +kubebuilder:validation:Pattern=`^([01][0-9]|2[0-3]):[0-5][0-9]$`
	From string `json:"from"`
	// To is when the window ends: 17:00, or 24:00.
	// +kubebuilder:validation:Pattern=`^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$`
	To string `json:"to"`
	// TimeZone is a name of the IANA database, UTC by default.
	// +kubebuilder:validation:MaxLength=64
	// +optional
	TimeZone string `json:"timeZone,omitempty"`
}
