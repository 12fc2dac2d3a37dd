package image

import (
	"fmt"
	"regexp"
	"strings"
)

// Host is the registry host of the test bed's images. It exists in no DNS:
// the container runtime is told to ask the cluster's own registry for it.
const Host = "fairlead.test"

// Reference names an image in the test bed's registry, without the host.
type Reference struct {
	Repository string // "app", "team/app"
	Tag        string // "v1"
}

// String is the name as a pod's manifest writes it.
func (r Reference) String() string { return Host + "/" + r.Repository + ":" + r.Tag }

var (
	repositoryPattern = regexp.MustCompile(`^[a-z0-9]+([._-][a-z0-9]+)*(/[a-z0-9]+([._-][a-z0-9]+)*)*$`)
	tagPattern        = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`)
)

// ParseReference reads [fairlead.test/]REPOSITORY[:TAG]; the tag is "latest"
// when there is none. Another registry's host is an error.
func ParseReference(s string) (Reference, error) {
	name := strings.TrimPrefix(s, Host+"/")
	repository, tag, found := strings.Cut(name, ":")
	if !found {
		tag = "latest"
	}
	if first, _, nested := strings.Cut(repository, "/"); nested && strings.Contains(first, ".") {
		return Reference{}, fmt.Errorf("image %q: host %s is not served here, want %s/NAME:TAG", s, first, Host)
	}
	if !repositoryPattern.MatchString(repository) {
		return Reference{}, fmt.Errorf("image %q: %q is not a repository name", s, repository)
	}
	if !tagPattern.MatchString(tag) {
		return Reference{}, fmt.Errorf("image %q: %q is not a tag", s, tag)
	}
	return Reference{Repository: repository, Tag: tag}, nil
}
