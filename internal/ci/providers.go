package ci

import (
	"cmp"
	"strings"
)

func github(env func(string) string) Run {
	repo := join("/", env("GITHUB_SERVER_URL"), env("GITHUB_REPOSITORY"))
	r := Run{
		Provider: GitHub, Pipeline: env("GITHUB_WORKFLOW"), RunID: env("GITHUB_RUN_ID"), Task: env("GITHUB_JOB"),
		Repository: repo, Revision: env("GITHUB_SHA"), Author: env("GITHUB_ACTOR"),
		// On a pull request GITHUB_REF_NAME is "12/merge"; the branch is the head.
		Ref: cmp.Or(env("GITHUB_HEAD_REF"), env("GITHUB_REF_NAME")),
	}
	if number, ok := strings.CutSuffix(env("GITHUB_REF_NAME"), "/merge"); ok {
		r.Change = number
	}
	if r.RunID != "" && repo != "" {
		r.URL = repo + "/actions/runs/" + r.RunID
		if attempt := env("GITHUB_RUN_ATTEMPT"); attempt != "" {
			r.URL += "/attempts/" + attempt
		}
	}
	return r
}

func gitlab(env func(string) string) Run {
	return Run{
		Provider: GitLab, Pipeline: cmp.Or(env("CI_PIPELINE_NAME"), env("CI_PROJECT_PATH")), RunID: env("CI_PIPELINE_ID"), URL: env("CI_PIPELINE_URL"),
		Task: env("CI_JOB_NAME"), TaskRunID: env("CI_JOB_ID"), TaskURL: env("CI_JOB_URL"),
		Repository: env("CI_PROJECT_URL"), Ref: cmp.Or(env("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME"), env("CI_COMMIT_REF_NAME")),
		Revision: env("CI_COMMIT_SHA"), Change: env("CI_MERGE_REQUEST_IID"), Author: env("GITLAB_USER_LOGIN"),
		Environment: env("CI_ENVIRONMENT_NAME"),
	}
}

func jenkins(env func(string) string) Run {
	return Run{
		Provider: Jenkins, Pipeline: env("JOB_NAME"), RunID: cmp.Or(env("BUILD_ID"), env("BUILD_NUMBER")), URL: env("BUILD_URL"),
		Task: env("STAGE_NAME"), Repository: env("GIT_URL"),
		Ref:      cmp.Or(env("CHANGE_BRANCH"), env("BRANCH_NAME"), strings.TrimPrefix(env("GIT_BRANCH"), "origin/")),
		Revision: env("GIT_COMMIT"), Change: env("CHANGE_ID"), Author: cmp.Or(env("CHANGE_AUTHOR"), env("BUILD_USER_ID")),
	}
}

func circleci(env func(string) string) Run {
	return Run{
		Provider: CircleCI, Pipeline: env("CIRCLE_PROJECT_REPONAME"), RunID: cmp.Or(env("CIRCLE_WORKFLOW_ID"), env("CIRCLE_BUILD_NUM")),
		URL: env("CIRCLE_BUILD_URL"), Task: env("CIRCLE_JOB"), TaskRunID: env("CIRCLE_BUILD_NUM"), TaskURL: env("CIRCLE_BUILD_URL"),
		Repository: env("CIRCLE_REPOSITORY_URL"), Ref: cmp.Or(env("CIRCLE_BRANCH"), env("CIRCLE_TAG")), Revision: env("CIRCLE_SHA1"),
		Change: cmp.Or(env("CIRCLE_PR_NUMBER"), lastSegment(env("CIRCLE_PULL_REQUEST"))), Author: env("CIRCLE_USERNAME"),
	}
}

func buildkite(env func(string) string) Run {
	r := Run{
		Provider: Buildkite, Pipeline: env("BUILDKITE_PIPELINE_SLUG"), RunID: env("BUILDKITE_BUILD_ID"), URL: env("BUILDKITE_BUILD_URL"),
		Task: env("BUILDKITE_LABEL"), TaskRunID: env("BUILDKITE_JOB_ID"), Repository: env("BUILDKITE_REPO"),
		Ref: cmp.Or(env("BUILDKITE_BRANCH"), env("BUILDKITE_TAG")), Revision: env("BUILDKITE_COMMIT"), Author: env("BUILDKITE_BUILD_CREATOR"),
	}
	if pr := env("BUILDKITE_PULL_REQUEST"); pr != "false" {
		r.Change = pr
	}
	if r.URL != "" && r.TaskRunID != "" {
		r.TaskURL = r.URL + "#" + r.TaskRunID
	}
	return r
}

func azure(env func(string) string) Run {
	r := Run{
		Provider: Azure, Pipeline: env("BUILD_DEFINITIONNAME"), RunID: env("BUILD_BUILDID"), Task: env("SYSTEM_JOBDISPLAYNAME"),
		TaskRunID: env("SYSTEM_JOBID"), Repository: env("BUILD_REPOSITORY_URI"),
		Ref:      cmp.Or(strings.TrimPrefix(env("SYSTEM_PULLREQUEST_SOURCEBRANCH"), "refs/heads/"), env("BUILD_SOURCEBRANCHNAME")),
		Revision: env("BUILD_SOURCEVERSION"), Change: cmp.Or(env("SYSTEM_PULLREQUEST_PULLREQUESTNUMBER"), env("SYSTEM_PULLREQUEST_PULLREQUESTID")),
		Author: env("BUILD_REQUESTEDFOR"), Environment: env("ENVIRONMENT_NAME"),
	}
	if base := env("SYSTEM_COLLECTIONURI"); base != "" && r.RunID != "" {
		r.URL = strings.TrimSuffix(base, "/") + "/" + env("SYSTEM_TEAMPROJECT") + "/_build/results?buildId=" + r.RunID
	}
	return r
}

func bitbucket(env func(string) string) Run {
	r := Run{
		Provider: Bitbucket, Pipeline: env("BITBUCKET_REPO_SLUG"), RunID: env("BITBUCKET_PIPELINE_UUID"), TaskRunID: env("BITBUCKET_STEP_UUID"),
		Repository: env("BITBUCKET_GIT_HTTP_ORIGIN"), Ref: cmp.Or(env("BITBUCKET_BRANCH"), env("BITBUCKET_TAG")),
		Revision: env("BITBUCKET_COMMIT"), Change: env("BITBUCKET_PR_ID"), Author: env("BITBUCKET_STEP_TRIGGERER_UUID"),
		Environment: env("BITBUCKET_DEPLOYMENT_ENVIRONMENT"),
	}
	if full, n := env("BITBUCKET_REPO_FULL_NAME"), env("BITBUCKET_BUILD_NUMBER"); full != "" && n != "" {
		r.URL = "https://bitbucket.org/" + full + "/pipelines/results/" + n
	}
	return r
}

// join joins parts when all are known, else it is "".
func join(sep string, parts ...string) string {
	for _, p := range parts {
		if p == "" {
			return ""
		}
	}
	return strings.Join(parts, sep)
}

func lastSegment(path string) string { return path[strings.LastIndex(path, "/")+1:] }
