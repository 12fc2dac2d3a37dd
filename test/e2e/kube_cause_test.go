//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A failing release of each kind, and the sentence that must come out of it.
// The sentence is matched as a whole: a wrong word fails.
var causes = []struct {
	name      string
	before    string // a manifest applied to the namespace beforehand
	set       []string
	manifests string // with the chart raw instead of app
	args      []string
	reason    string
	sentence  string // a regular expression
}{
	{
		name:   "crash loop",
		set:    []string{"env.CRASH_AFTER=0s", "env.EXIT_CODE=3", "env.CRASH_MESSAGE=no database at db:5432"},
		reason: "CrashLoopBackOff|Error",
		sentence: `Deployment web is not ready \(0/1 ready\): container app of pod web-\S+ (keeps crashing|crashed) ` +
			`\((CrashLoopBackOff|Error), exit code 3(, \d+ restarts?)?\); it last said "no database at db:5432"`,
	},
	{
		name:     "image not found",
		set:      []string{"image=fairlead.test/nope:v1"},
		reason:   "ErrImagePull|ImagePullBackOff",
		sentence: `Deployment web is not ready \(0/1 ready\): the image "fairlead.test/nope:v1" of container app of pod web-\S+ cannot be pulled \((ErrImagePull|ImagePullBackOff)\): .*not found`,
	},
	{
		name:     "image denied",
		set:      []string{"image=fairlead.test/denied/app:v1"},
		reason:   "ErrImagePull|ImagePullBackOff",
		sentence: `.*the image "fairlead.test/denied/app:v1" of container app of pod web-\S+ cannot be pulled \((ErrImagePull|ImagePullBackOff)\): .*(401|[Uu]nauthorized|authorization).*`,
	},
	{
		name:     "invalid image name",
		set:      []string{"image=Fairlead/App"},
		reason:   "InvalidImageName",
		sentence: `Deployment web is not ready \(0/1 ready\): "Fairlead/App" is no valid image name, in container app of pod web-\S+ \(InvalidImageName\)`,
	},
	{
		name:     "image never pulled",
		set:      []string{"image=fairlead.test/absent:v1", "imagePullPolicy=Never"},
		reason:   "ErrImageNeverPull",
		sentence: `.*the image "fairlead.test/absent:v1" of container app of pod web-\S+ is not on the node, and its pull policy is Never \(ErrImageNeverPull\)`,
	},
	{
		name:     "never ready",
		set:      []string{"env.UNREADY=true"},
		reason:   "ReadinessProbeFailed",
		sentence: `Deployment web is not ready \(0/1 ready\): container app of pod web-\S+ runs but its readiness probe fails( \(\d+ times\))?: HTTP probe failed with statuscode: 503`,
	},
	{
		name: "liveness probe",
		set: []string{"env.UNHEALTHY=true", "env.UNREADY=true", "livenessProbe.httpGet.path=/livez", "livenessProbe.httpGet.port=http",
			"livenessProbe.periodSeconds=1", "livenessProbe.failureThreshold=2", "env.DRAIN=0s"},
		args:     []string{"--timeout", "14s"},
		reason:   "LivenessProbeFailed",
		sentence: `.*container app of pod web-\S+ is restarted because its liveness probe fails \(exit code \d+, \d+ restarts?\): HTTP probe failed with statuscode: 503|.*the liveness probe of container app of pod web-\S+ fails.*`,
	},
	{
		name:     "unschedulable",
		set:      []string{"nodeSelector.disk=fast"},
		reason:   "FailedScheduling",
		sentence: `Deployment web is not ready \(0/1 ready\): pod web-\S+ cannot be scheduled \(FailedScheduling\): 0/1 nodes are available: 1 node\(s\) didn't match Pod's node affinity/selector`,
	},
	{
		name:     "too large for any node",
		set:      []string{"resources.requests.memory=1Ti"},
		reason:   "FailedScheduling",
		sentence: `.*pod web-\S+ cannot be scheduled \(FailedScheduling\): 0/1 nodes are available: 1 Insufficient memory`,
	},
	{
		name:   "claim pending",
		set:    []string{"persistence.enabled=true", "persistence.bound=false"},
		reason: "FailedScheduling",
		sentence: `Deployment web is not ready \(0/1 ready\): pod web-\S+ cannot be scheduled \(FailedScheduling\): 0/1 nodes are available: ` +
			`pod has unbound immediate PersistentVolumeClaims; PersistentVolumeClaim web is Pending`,
	},
	{
		name:     "out of memory",
		set:      []string{"env.MEMORY_MIB=200", "resources.limits.memory=24Mi"},
		reason:   "OOMKilled",
		sentence: `.*container app of pod web-\S+ was killed for using more memory than its limit \(OOMKilled, exit code 137(, \d+ restarts?)?\)`,
	},
	{
		name:   "quota",
		before: "apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: few}\nspec: {hard: {pods: \"0\"}}\n",
		reason: "FailedCreate",
		sentence: `Deployment web is not ready \(0/1 ready\): its pods cannot be created \(FailedCreate\): pods "web-\S+" is forbidden: ` +
			`exceeded quota: few, requested: pods=1, used: pods=0, limited: pods=0`,
	},
	{
		name:     "no service account",
		set:      []string{"serviceAccountName=nobody"},
		reason:   "FailedCreate",
		sentence: `.*its pods cannot be created \(FailedCreate\): .*serviceaccount "nobody" not found`,
	},
	{
		name:     "failing init container",
		set:      []string{"init.enabled=true", "init.result=fail", "env.CRASH_MESSAGE=no schema"},
		reason:   "CrashLoopBackOff|Error",
		sentence: `.*init container init of pod web-\S+ (keeps crashing|crashed) \(.*exit code 1.*\); it last said ".+"`,
	},
	{
		name:     "failing hook",
		set:      []string{"hook.enabled=true", "hook.result=fail", "env.CRASH_MESSAGE=migration 12 failed"},
		reason:   "Error",
		sentence: `hook Job web-hook failed: container job of pod web-hook-\S+ crashed \(Error, exit code 1\); it last said "migration 12 failed"`,
	},
	{
		name: "failing hook that is deleted at once",
		set: []string{"hook.enabled=true", "hook.result=fail", "env.CRASH_MESSAGE=migration 12 failed",
			"hook.deletePolicy=before-hook-creation\\,hook-failed"},
		reason:   "Error",
		sentence: `hook Job web-hook failed: container job of pod web-hook-\S+ crashed \(Error, exit code 1\); it last said "migration 12 failed"`,
	},
	{
		name:      "secret missing for the environment",
		manifests: deploymentWith("env: [{name: PASSWORD, valueFrom: {secretKeyRef: {name: absent, key: x}}}]", ""),
		reason:    "CreateContainerConfigError",
		sentence:  `.*container app of pod web-\S+ cannot be created \(CreateContainerConfigError\): secret "absent" not found`,
	},
	{
		name:      "secret missing for a volume",
		manifests: deploymentWith("volumeMounts: [{name: v, mountPath: /v}]", "volumes: [{name: v, secret: {secretName: absent}}]"),
		reason:    "FailedMount",
		sentence:  `.*pod web-\S+ cannot mount its volumes \(FailedMount\): MountVolume.SetUp failed for volume "v" : secret "absent" not found`,
	},
	{
		name: "no such storage class",
		manifests: deploymentWith("volumeMounts: [{name: v, mountPath: /v}]", "volumes: [{name: v, persistentVolumeClaim: {claimName: data}}]") +
			"---\napiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {name: data}\n" +
			"spec: {accessModes: [ReadWriteOnce], storageClassName: absent, resources: {requests: {storage: 1Mi}}}\n",
		reason: "ProvisioningFailed",
		sentence: `Deployment web is not ready \(0/1 ready\): PersistentVolumeClaim data, which pod web-\S+ needs, is not bound ` +
			`\(ProvisioningFailed\): storageclass.storage.k8s.io "absent" not found`,
	},
	{
		name:      "command that does not exist",
		manifests: deploymentWith("command: [/no/such/program]", ""),
		reason:    "StartError|RunContainerError",
		sentence:  `.*container app of pod web-\S+ cannot be started \(StartError, exit code 128(, \d+ restarts?)?\): .*/no/such/program.*no such file or directory.*`,
	},
	{
		name:      "program that ends",
		manifests: deploymentWith("args: [job, ok]\n        readinessProbe: {tcpSocket: {port: 8080}}", ""),
		reason:    "CrashLoopBackOff",
		sentence:  `.*container app of pod web-\S+ ends again and again, though with exit code 0 \(CrashLoopBackOff, \d+ restarts?\): its program is not meant to end.*`,
	},
}

func deploymentWith(container, pod string) string {
	return `apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers:
      - name: app
        image: fairlead.test/app:v1
        ` + container + `
      ` + pod + `
`
}

func TestCauseOfFailedInstall(t *testing.T) {
	for _, c := range causes {
		t.Run(c.name, func(t *testing.T) {
			for _, helmVariable := range []string{"FAIRLEAD_TEST_HELM4", "FAIRLEAD_TEST_HELM3"} {
				t.Run(strings.ToLower(strings.TrimPrefix(helmVariable, "FAIRLEAD_TEST_")), func(t *testing.T) {
					t.Parallel()
					b := newBench(t, helmVariable)
					if c.before != "" {
						b.kubectl(c.before, "apply", "-f", "-")
					}
					args := []string{"install", "web", chart("app"), "--wait", "--timeout", "8s"}
					if c.manifests != "" {
						file := filepath.Join(t.TempDir(), "manifests.yaml")
						if err := os.WriteFile(file, []byte(c.manifests), 0o600); err != nil {
							t.Fatal(err)
						}
						args = []string{"install", "web", chart("raw"), "--wait", "--timeout", "8s", "--set-file", "manifests=" + file}
					}
					for _, s := range c.set {
						args = append(args, "--set", s)
					}
					op := b.run(append(args, c.args...)...)
					if op.exitCode == 0 {
						t.Fatal("helm succeeded")
					}
					t.Logf("%s: %s", op.cause.ErrorType, op.cause.Sentence)
					if !regexp.MustCompile("^(?:" + c.sentence + ")$").MatchString(op.cause.Sentence) {
						t.Errorf("got  %s\nwant %s\nsteps:\n%s\nwaits:\n%s", op.cause.Sentence, c.sentence, outline(op.steps, op.start, "  "), strings.Join(op.waits, "\n"))
					}
					if !regexp.MustCompile("^(?:" + c.reason + ")$").MatchString(op.cause.Reason) {
						t.Errorf("reason %q, want %q", op.cause.Reason, c.reason)
					}
				})
			}
		})
	}
}
