package ci

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDetect(t *testing.T) {
	cases := []struct {
		reason string
		env    map[string]string
		want   Run
	}{
		{"no CI", map[string]string{"HOME": "/h"}, Run{}},
		{"GitHub pull request", map[string]string{"GITHUB_ACTIONS": "true", "GITHUB_WORKFLOW": "deploy", "GITHUB_RUN_ID": "7", "GITHUB_RUN_ATTEMPT": "2",
			"GITHUB_JOB": "prod", "GITHUB_SHA": "abc", "GITHUB_REF_NAME": "12/merge", "GITHUB_HEAD_REF": "fix", "GITHUB_ACTOR": "ada",
			"GITHUB_SERVER_URL": "https://github.com", "GITHUB_REPOSITORY": "shop/web"},
			Run{Provider: GitHub, Pipeline: "deploy", RunID: "7", URL: "https://github.com/shop/web/actions/runs/7/attempts/2", Task: "prod",
				Repository: "https://github.com/shop/web", Ref: "fix", Revision: "abc", Change: "12", Author: "ada"}},
		{"GitLab", map[string]string{"GITLAB_CI": "true", "CI_PIPELINE_NAME": "deploy", "CI_PIPELINE_ID": "9", "CI_PIPELINE_URL": "https://g.example/p/9",
			"CI_JOB_NAME": "helm", "CI_JOB_ID": "91", "CI_JOB_URL": "https://g.example/j/91", "CI_PROJECT_URL": "https://g.example/shop",
			"CI_COMMIT_REF_NAME": "main", "CI_COMMIT_SHA": "abc", "CI_MERGE_REQUEST_IID": "3", "CI_ENVIRONMENT_NAME": "prod"},
			Run{Provider: GitLab, Pipeline: "deploy", RunID: "9", URL: "https://g.example/p/9", Task: "helm", TaskRunID: "91", TaskURL: "https://g.example/j/91",
				Repository: "https://g.example/shop", Ref: "main", Revision: "abc", Change: "3", Environment: "prod"}},
		{"Jenkins, with credentials in the repository's URL", map[string]string{"JENKINS_URL": "https://j.example", "JOB_NAME": "deploy", "BUILD_ID": "4",
			"BUILD_URL": "https://j.example/4/", "STAGE_NAME": "helm", "GIT_URL": "https://bot:pw@git.example/web.git", "BRANCH_NAME": "main", "GIT_COMMIT": "abc"},
			Run{Provider: Jenkins, Pipeline: "deploy", RunID: "4", URL: "https://j.example/4/", Task: "helm", Repository: "https://git.example/web.git",
				Ref: "main", Revision: "abc"}},
		{"CircleCI", map[string]string{"CIRCLECI": "true", "CI": "true", "CIRCLE_PROJECT_REPONAME": "web", "CIRCLE_WORKFLOW_ID": "w", "CIRCLE_BUILD_NUM": "5",
			"CIRCLE_JOB": "helm", "CIRCLE_SHA1": "abc", "CIRCLE_BRANCH": "main", "CIRCLE_PULL_REQUEST": "https://github.com/shop/web/pull/8"},
			Run{Provider: CircleCI, Pipeline: "web", RunID: "w", Task: "helm", TaskRunID: "5", Ref: "main", Revision: "abc", Change: "8"}},
		{"Buildkite without a pull request", map[string]string{"BUILDKITE": "true", "BUILDKITE_PIPELINE_SLUG": "web", "BUILDKITE_BUILD_ID": "b",
			"BUILDKITE_BUILD_URL": "https://b.example/1", "BUILDKITE_JOB_ID": "j", "BUILDKITE_PULL_REQUEST": "false"},
			Run{Provider: Buildkite, Pipeline: "web", RunID: "b", URL: "https://b.example/1", TaskRunID: "j", TaskURL: "https://b.example/1#j"}},
		{"Azure", map[string]string{"TF_BUILD": "True", "BUILD_DEFINITIONNAME": "web", "BUILD_BUILDID": "6", "SYSTEM_COLLECTIONURI": "https://dev.example/org/",
			"SYSTEM_TEAMPROJECT": "shop", "BUILD_SOURCEBRANCHNAME": "main", "BUILD_SOURCEVERSION": "abc"},
			Run{Provider: Azure, Pipeline: "web", RunID: "6", URL: "https://dev.example/org/shop/_build/results?buildId=6", Ref: "main", Revision: "abc"}},
		{"Bitbucket", map[string]string{"BITBUCKET_BUILD_NUMBER": "2", "BITBUCKET_REPO_FULL_NAME": "shop/web", "BITBUCKET_REPO_SLUG": "web", "BITBUCKET_COMMIT": "abc"},
			Run{Provider: Bitbucket, Pipeline: "web", URL: "https://bitbucket.org/shop/web/pipelines/results/2", Revision: "abc"}},
		{"any other, by the overrides", map[string]string{"CI": "true", "FAIRLEAD_CI_PIPELINE": "deploy", "FAIRLEAD_CI_RUN_ID": "1", "DEPLOYMENT_ENVIRONMENT": "prod"},
			Run{Provider: Other, Pipeline: "deploy", RunID: "1", Environment: "prod"}},
	}
	for _, c := range cases {
		t.Run(c.reason, func(t *testing.T) {
			got := Detect(func(name string) string { return c.env[name] })
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestAttributesLeaveOutWhatIsNotKnown(t *testing.T) {
	got := Run{Provider: GitHub, Pipeline: "deploy", Revision: "abc"}.Attributes()
	want := map[string]string{"cicd.pipeline.name": "deploy", "vcs.ref.head.revision": "abc", "vcs.provider.name": "github"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
