// Package ci reads from the environment which pipeline runs us and what it
// deploys, in the names of the OpenTelemetry semantic conventions.
package ci

import (
	"cmp"
	"net/url"
	"strings"
)

// Provider is a CI system.
type Provider string

// The CI systems that are recognised. Anything else with CI=true is Other: it
// can say the rest by the overrides.
const (
	None      Provider = ""
	GitHub    Provider = "github"
	GitLab    Provider = "gitlab"
	Jenkins   Provider = "jenkins"
	CircleCI  Provider = "circleci"
	Buildkite Provider = "buildkite"
	Azure     Provider = "azure"
	Bitbucket Provider = "bitbucket"
	Other     Provider = "other"
)

// Run is the pipeline run that this process is a part of.
type Run struct {
	Provider Provider
	// Pipeline, RunID and URL name the pipeline, this run of it, and its page.
	Pipeline, RunID, URL string
	// Task and TaskRunID name the job within the run; TaskURL its page.
	Task, TaskRunID, TaskURL string
	// Repository is the URL of the source, without credentials.
	Repository string
	// Ref is the branch or tag, Revision the commit, Change the pull or merge
	// request's number.
	Ref, Revision, Change string
	// Author is who began the run, as the CI system names them.
	Author string
	// Environment is the deployment environment that the CI job declares.
	Environment string
}

// Detect reads the run from the environment: first the CI system's variables,
// then the generic overrides, which win: FAIRLEAD_CI_PIPELINE, FAIRLEAD_CI_RUN_ID,
// FAIRLEAD_CI_RUN_URL, FAIRLEAD_CI_TASK, FAIRLEAD_CI_REPOSITORY, FAIRLEAD_CI_REF,
// FAIRLEAD_CI_REVISION, FAIRLEAD_CI_CHANGE, FAIRLEAD_CI_AUTHOR and
// DEPLOYMENT_ENVIRONMENT. Outside CI and without overrides it is the zero Run.
func Detect(getenv func(string) string) Run {
	r := detect(getenv)
	override := func(field *string, name string) { *field = cmp.Or(getenv(name), *field) }
	override(&r.Pipeline, "FAIRLEAD_CI_PIPELINE")
	override(&r.RunID, "FAIRLEAD_CI_RUN_ID")
	override(&r.URL, "FAIRLEAD_CI_RUN_URL")
	override(&r.Task, "FAIRLEAD_CI_TASK")
	override(&r.Repository, "FAIRLEAD_CI_REPOSITORY")
	override(&r.Ref, "FAIRLEAD_CI_REF")
	override(&r.Revision, "FAIRLEAD_CI_REVISION")
	override(&r.Change, "FAIRLEAD_CI_CHANGE")
	override(&r.Author, "FAIRLEAD_CI_AUTHOR")
	override(&r.Environment, "DEPLOYMENT_ENVIRONMENT")
	for _, u := range []*string{&r.URL, &r.TaskURL, &r.Repository} {
		*u = withoutCredentials(*u)
	}
	return r
}

// detect asks each system's own tell-tale variable; they don't overlap.
func detect(env func(string) string) Run {
	switch {
	case env("GITHUB_ACTIONS") == "true":
		return github(env)
	case env("GITLAB_CI") == "true":
		return gitlab(env)
	case env("CIRCLECI") == "true":
		return circleci(env)
	case env("BUILDKITE") == "true":
		return buildkite(env)
	case strings.EqualFold(env("TF_BUILD"), "true"):
		return azure(env)
	case env("BITBUCKET_BUILD_NUMBER") != "":
		return bitbucket(env)
	case env("JENKINS_URL") != "" || env("JENKINS_HOME") != "":
		return jenkins(env)
	case env("CI") == "true" || env("CI") == "1":
		return Run{Provider: Other}
	default:
		return Run{}
	}
}

// Attributes returns the run as cicd.*, vcs.* and deployment.environment.name;
// what is not known is left out.
func (r Run) Attributes() map[string]string {
	m := map[string]string{}
	set := func(k, v string) {
		if v != "" {
			m[k] = v
		}
	}
	set("cicd.pipeline.name", r.Pipeline)
	set("cicd.pipeline.run.id", r.RunID)
	set("cicd.pipeline.run.url.full", r.URL)
	set("cicd.pipeline.task.name", r.Task)
	set("cicd.pipeline.task.run.id", r.TaskRunID)
	set("cicd.pipeline.task.run.url.full", r.TaskURL)
	set("vcs.repository.url.full", r.Repository)
	set("vcs.ref.head.name", r.Ref)
	set("vcs.ref.head.revision", r.Revision)
	set("vcs.change.id", r.Change)
	set("user.name", r.Author)
	set("deployment.environment.name", r.Environment)
	switch r.Provider {
	case GitHub, GitLab, Bitbucket:
		set("vcs.provider.name", string(r.Provider))
	}
	return m
}

// Holder names the run for a Lease or a message: "github run 123", "" outside CI.
func (r Run) Holder() string {
	if r.Provider == None || r.Provider == Other || r.RunID == "" {
		return cmp.Or(r.URL, r.RunID)
	}
	return string(r.Provider) + " run " + r.RunID
}

// withoutCredentials drops user, password and query from a URL.
func withoutCredentials(raw string) string {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" {
		if at := strings.LastIndex(raw, "@"); at >= 0 && strings.Contains(raw[:at], "://") {
			return ""
		}
		return raw
	}
	u.User = nil
	if u.RawQuery != "" && !strings.Contains(u.Path, "_build/results") { // Azure's run pages are queries
		u.RawQuery = ""
	}
	return u.String()
}
