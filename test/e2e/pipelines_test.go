//go:build e2e

package e2e

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// pipeline is the deploying job of a recipe, as its CI system would run it.
type pipeline struct {
	recipe string
	shell  []string
	script func(t *testing.T, page string) (env []string, script string)
	env    []string // what the system sets
	says   []string // of the run, on the wire
}

var pipelines = []pipeline{
	{
		"github-actions", []string{"bash", "-e"}, githubScript,
		[]string{
			"GITHUB_ACTIONS=true", "GITHUB_WORKFLOW=deploy", "GITHUB_RUN_ID=4711", "GITHUB_RUN_ATTEMPT=1", "GITHUB_JOB=deploy", "GITHUB_REPOSITORY=shop/web",
			"GITHUB_SERVER_URL=https://github.com", "GITHUB_SHA=0123abcd", "GITHUB_REF_NAME=main",
		},
		[]string{"cicd.pipeline.run.id", "4711", "https://github.com/shop/web", "0123abcd"},
	},
	{
		"gitlab-ci", []string{"bash", "-eo", "pipefail"}, gitlabScript,
		[]string{
			"GITLAB_CI=true", "CI=true", "CI_PIPELINE_ID=4712", "CI_PIPELINE_URL=https://gitlab.example.com/shop/web/-/pipelines/4712", "CI_JOB_NAME=deploy",
			"CI_PROJECT_URL=https://gitlab.example.com/shop/web", "CI_COMMIT_SHA=0123abcd", "CI_COMMIT_REF_NAME=main", "CI_ENVIRONMENT_NAME=production", "FAIRLEAD_TOKEN=masked-by-the-system",
		},
		[]string{"cicd.pipeline.run.id", "4712", "https://gitlab.example.com/shop/web", "0123abcd"},
	},
	{
		"jenkins", []string{"sh", "-xe"}, jenkinsScript,
		[]string{
			"JENKINS_URL=https://jenkins.example.com/", "JOB_NAME=deploy-web", "BUILD_ID=4713", "BUILD_URL=https://jenkins.example.com/job/deploy-web/4713/",
			"STAGE_NAME=Deploy", "GIT_URL=https://git.example.com/shop/web.git", "GIT_COMMIT=0123abcd", "GIT_BRANCH=main", "FAIRLEAD_TOKEN=masked-by-the-system",
		},
		[]string{"cicd.pipeline.run.id", "4713", "deploy-web", "0123abcd"},
	},
}

// TestPipelinesOfTheRecipes runs the deploying job of each recipe's page, word
// for word, in its system's shell and with its variables: the chart is deployed,
// and what the system says of the run is sent with the page's token.
func TestPipelinesOfTheRecipes(t *testing.T) {
	t.Parallel()
	chart, err := filepath.Abs(appChart)
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range pipelines {
		t.Run(p.recipe, func(t *testing.T) {
			t.Parallel()
			s := newScene(t, 3+i%2)
			page, err := os.ReadFile(filepath.Join("..", "..", "docs", "recipes", p.recipe+".md"))
			if err != nil {
				t.Fatal(err)
			}
			declared, script := p.script(t, string(page))
			dir := t.TempDir()
			for name, target := range map[string]string{"chart": chart, "fairlead": fairlead(), "helm": fairlead()} {
				if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
					t.Fatal(err)
				}
			}
			cmd := exec.CommandContext(t.Context(), p.shell[0], append(slices.Clone(p.shell[1:]), "-c", script)...)
			cmd.Dir = dir
			cmd.Env = slices.Concat(s.base(), p.env, declared, []string{
				"PATH=" + dir + string(os.PathListSeparator) + os.Getenv("PATH"), "OTEL_EXPORTER_OTLP_ENDPOINT=" + s.collector.URL,
			})
			if r := s.wait(cmd); r.code != 0 {
				t.Fatalf("exit code %d of\n%s\n%s%s", r.code, script, r.stdout, r.stderr)
			}
			if got := s.history("web"); got != "1 deployed" {
				t.Errorf("history %q", got)
			}
			sent := s.collector.bytes()
			for _, want := range append([]string{"helm-upgrade", "prod", "production"}, p.says...) {
				if !bytes.Contains(sent, []byte(want)) {
					t.Errorf("%q was not sent", want)
				}
			}
			if got := s.collector.authorization(); got != "Bearer masked-by-the-system" {
				t.Errorf("Authorization: %q", got)
			}
		})
	}
}

// authorization is the header of the newest request.
func (c *collector) authorization() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.headers) == 0 {
		return ""
	}
	return c.headers[len(c.headers)-1].Get("Authorization")
}

// block is the first code block of that language in a page, decoded into out.
func block(t *testing.T, page, language string, out any) string {
	t.Helper()
	_, rest, found := strings.Cut(page, "```"+language+"\n")
	text, _, ended := strings.Cut(rest, "```\n")
	if !found || !ended {
		t.Fatalf("the page has no block of %s", language)
	}
	if out != nil {
		if err := yaml.Unmarshal([]byte(text), out); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
	}
	return text
}

func githubScript(t *testing.T, page string) (env []string, script string) {
	var workflow struct {
		Jobs map[string]struct {
			Env   map[string]string
			Steps []struct{ Run string }
		}
	}
	block(t, page, "yaml", &workflow)
	job := workflow.Jobs["deploy"]
	for name, value := range job.Env {
		env = append(env, name+"="+strings.ReplaceAll(value, "${{ secrets.FAIRLEAD_TOKEN }}", "masked-by-the-system"))
	}
	for _, step := range job.Steps {
		script += step.Run + "\n"
	}
	return env, script
}

func gitlabScript(t *testing.T, page string) (env []string, script string) {
	var jobs map[string]struct {
		Variables    map[string]string
		BeforeScript []string `json:"before_script"`
		Script       []string
	}
	block(t, page, "yaml", &jobs)
	job := jobs["deploy"]
	for name, value := range job.Variables {
		env = append(env, name+"="+value)
	}
	return env, strings.Join(slices.Concat(job.BeforeScript, job.Script), "\n")
}

var (
	jenkinsEnv = regexp.MustCompile(`(?m)^ +([A-Z_]+) = '([^']*)'$`)
	jenkinsSh  = regexp.MustCompile(`(?s)sh '''(.*?)'''`)
)

func jenkinsScript(t *testing.T, page string) (env []string, script string) {
	text := block(t, page, "groovy", nil)
	for _, m := range jenkinsEnv.FindAllStringSubmatch(text, -1) {
		env = append(env, m[1]+"="+m[2])
	}
	m := jenkinsSh.FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("no sh step in\n%s", text)
	}
	return env, m[1]
}
