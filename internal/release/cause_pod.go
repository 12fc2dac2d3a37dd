package release

import (
	"fmt"
	"strings"
)

// Waiting reasons of a container, by what they keep it from.
var (
	imageReasons = map[string]bool{
		"ErrImagePull": true, "ImagePullBackOff": true, "ErrImageNeverPull": true, "InvalidImageName": true,
		"ImageInspectError": true, "RegistryUnavailable": true, "SignatureValidationFailed": true,
	}
	configReasons = map[string]bool{
		"CreateContainerConfigError": true, "CreateContainerError": true, "RunContainerError": true,
		"PreCreateHookError": true, "PreStartHookError": true, "PostStartHookError": true, "StartError": true,
		"ContainerCannotRun": true,
	}
)

// PodTrouble returns what is wrong with a pod: the deepest of its containers'
// troubles, its own, or the zero Trouble. events are the pod's, oldest first.
func PodTrouble(p Pod, events []Event) Trouble {
	if p.Phase == "Succeeded" || !p.Deleting.IsZero() && p.Phase != "Failed" {
		return Trouble{}
	}
	if p.Reason == "Evicted" || p.Reason == "Preempting" || p.Reason == "NodeLost" || p.Reason == "Shutdown" || p.Reason == "Terminated" {
		return Trouble{
			Reason: p.Reason, rank: rankEvicted, Event: lastEvent(events, p.Reason),
			Text: fmt.Sprintf("pod %s was put off its node (%s)%s", p.Name, p.Reason, said(p.Message)), Detail: clip(p.Message, detailLength),
		}
	}
	if p.Reason == ReasonJobDeadline {
		return Trouble{Reason: p.Reason, rank: rankDeadline, Text: fmt.Sprintf("pod %s passed its deadline", p.Name), Detail: "deadline passed"}
	}
	var worst Trouble
	for _, list := range []struct {
		init       bool
		containers []Container
	}{{true, p.Init}, {false, p.Containers}} {
		for _, c := range list.containers {
			if t := containerTrouble(p, c, list.init, events); t.order() < worst.order() {
				worst = t
			}
		}
		if worst.hard() {
			return worst // containers wait for init containers
		}
	}
	if worst.hard() {
		return worst
	}
	if t := placementTrouble(p, events); t.order() < worst.order() {
		return t
	}
	return worst
}

func containerTrouble(p Pod, c Container, init bool, events []Event) Trouble {
	name := fmt.Sprintf("container %s of pod %s", c.Name, p.Name)
	if init {
		name = "init " + name
	}
	t := Trouble{Container: c.Name, Init: init}
	switch {
	case c.State == ContainerWaiting && imageReasons[c.Reason]:
		return imageTrouble(t, c, name, events)
	case c.State == ContainerWaiting && configReasons[c.Reason] && c.Reason != "RunContainerError":
		t.Reason, t.rank, t.Event = c.Reason, rankConfig, containerEvent(events, c.Name, "Failed")
		t.Text = fmt.Sprintf("%s cannot be created (%s)%s", name, c.Reason, said(c.Message))
		t.Detail = clip(c.Message, detailLength)
		return t
	}
	exit := c.Exit
	if exit == nil && (c.Restarts > 0 || c.Reason == ReasonCrashLoop || c.Reason == "RunContainerError") {
		exit = c.LastExit
	}
	if exit == nil && c.Reason == "RunContainerError" {
		exit = &Termination{Reason: "StartError", ExitCode: 128, Message: c.Message}
	}
	if exit != nil && (!c.Ready || c.State != ContainerRunning) {
		if t, ok := exitTrouble(t, c, exit, name, events); ok {
			return t
		}
	}
	if c.State == ContainerRunning && !c.Ready && (!init || c.Sidecar) {
		return unreadyTrouble(t, c, name, events)
	}
	return Trouble{}
}

func imageTrouble(t Trouble, c Container, name string, events []Event) Trouble {
	t.Reason, t.rank = c.Reason, rankImage
	t.Event = lastMatching(events, func(e Event) bool {
		return ContainerOf(e.FieldPath) == c.Name && (e.Reason == "Failed" || e.Reason == "ErrImageNeverPull" || e.Reason == "InspectFailed") &&
			!strings.HasPrefix(e.Message, "Error: ")
	})
	words := c.Message
	if t.Event != nil {
		words = t.Event.Message
	}
	t.Text = fmt.Sprintf("the image %q of %s cannot be pulled (%s)%s", c.Image, name, c.Reason, said(pullError(words)))
	switch c.Reason {
	case "ErrImageNeverPull":
		t.Text = fmt.Sprintf("the image %q of %s is not on the node, and its pull policy is Never (%s)", c.Image, name, c.Reason)
	case "InvalidImageName":
		t.Text = fmt.Sprintf("%q is no valid image name, in %s (%s)", c.Image, name, c.Reason)
	}
	t.Detail = c.Image
	return t
}

// exitTrouble tells of a container that ended; ok is false when it ended well.
func exitTrouble(t Trouble, c Container, exit *Termination, name string, events []Event) (Trouble, bool) {
	t.Termination = exit
	probe := probeKill(events, c.Name)
	t.Event = containerEvent(events, c.Name, "BackOff")
	restarts := ""
	if c.Restarts > 0 {
		restarts = ", " + plural(int(c.Restarts), "restart")
	}
	code := fmt.Sprintf("exit code %d", exit.ExitCode)
	if exit.ExitCode == 0 && exit.Signal != 0 {
		code = fmt.Sprintf("signal %d", exit.Signal)
	}
	t.Detail = code
	switch {
	case exit.Reason == ReasonOOMKilled:
		t.Reason, t.rank = ReasonOOMKilled, rankOOM
		t.Text = fmt.Sprintf("%s was killed for using more memory than its limit (OOMKilled, %s%s)", name, code, restarts)
		t.Detail = "out of memory"
	case exit.Reason == "StartError" || exit.Reason == "ContainerCannotRun":
		t.Reason, t.rank = exit.Reason, rankConfig
		t.Text = fmt.Sprintf("%s cannot be started (%s, %s%s)%s", name, exit.Reason, code, restarts, said(startError(exit.Message)))
	case probe != nil:
		kind := "liveness"
		t.Reason, t.rank, t.Event = ReasonLiveness, rankLiveness, probe
		if strings.HasPrefix(probe.Message, "Startup") {
			kind, t.Reason = "startup", ReasonStartup
		}
		t.Text = fmt.Sprintf("%s is restarted because its %s probe fails (%s%s)%s", name, kind, code, restarts, said(probeWords(probe.Message)))
		t.Detail = kind + " probe"
	case exit.ExitCode == 0 && exit.Signal == 0:
		if c.Reason != ReasonCrashLoop {
			return Trouble{}, false // a container of a Job that is done
		}
		t.Reason, t.rank = ReasonCrashLoop, rankCrash
		t.Text = fmt.Sprintf("%s ends again and again, though with exit code 0 (CrashLoopBackOff%s): its program is not meant to end", name, restarts)
	default:
		t.Reason, t.rank = ReasonCrashLoop, rankCrash
		verb := "keeps crashing"
		if c.Restarts == 0 {
			verb, t.Reason = "crashed", orReason(exit.Reason, "Error")
		} else if c.State != ContainerWaiting {
			t.Reason = orReason(exit.Reason, "Error")
		}
		t.Text = fmt.Sprintf("%s %s (%s, %s%s)", name, verb, t.Reason, code, restarts)
	}
	return t, true
}

func unreadyTrouble(t Trouble, c Container, name string, events []Event) Trouble {
	e := lastMatching(events, func(e Event) bool {
		return (e.Reason == "Unhealthy" || e.Reason == "ProbeWarning") && (ContainerOf(e.FieldPath) == c.Name || e.FieldPath == "")
	})
	t.Event = e
	switch {
	case e != nil && strings.HasPrefix(e.Message, "Readiness"):
		t.Reason, t.rank, t.Detail = ReasonReadiness, rankReadiness, "readiness probe"
		t.Text = fmt.Sprintf("%s runs but its readiness probe fails%s%s", name, times(e.Count), said(probeWords(e.Message)))
	case e != nil && strings.HasPrefix(e.Message, "Startup"):
		t.Reason, t.rank, t.Detail = ReasonStartup, rankStartup, "startup probe"
		t.Text = fmt.Sprintf("%s runs but its startup probe has not passed%s%s", name, times(e.Count), said(probeWords(e.Message)))
	case e != nil && strings.HasPrefix(e.Message, "Liveness"):
		t.Reason, t.rank, t.Detail = ReasonLiveness, rankLiveness, "liveness probe"
		t.Text = fmt.Sprintf("the liveness probe of %s fails%s%s", name, times(e.Count), said(probeWords(e.Message)))
	case !c.Started:
		t.Reason, t.rank, t.Detail = ReasonNotReady, rankWaiting, "starting"
		t.Text = fmt.Sprintf("%s runs but its startup probe has not passed", name)
	default:
		t.Reason, t.rank, t.Detail = ReasonNotReady, rankWaiting, "not ready"
		t.Text = fmt.Sprintf("%s runs but is not ready", name)
	}
	return t
}

// placementTrouble tells why a pod has no node, or its containers do not begin.
func placementTrouble(p Pod, events []Event) Trouble {
	if c, ok := FindCondition(p.Conditions, "PodScheduled"); ok && c.Status == "False" && p.Node == "" {
		if c.Reason == "SchedulingGated" {
			return Trouble{Reason: c.Reason, rank: rankSchedule, Text: fmt.Sprintf("pod %s is held back by a scheduling gate", p.Name), Detail: "scheduling gate"}
		}
		words := c.Message
		e := lastEvent(events, ReasonUnschedulable)
		if words == "" && e != nil {
			words = e.Message
		}
		return Trouble{
			Reason: ReasonUnschedulable, rank: rankSchedule, Event: e, Detail: clip(schedulerWords(words), detailLength),
			Text: fmt.Sprintf("pod %s cannot be scheduled (%s)%s", p.Name, ReasonUnschedulable, said(schedulerWords(words))),
		}
	}
	if p.Phase != "Pending" {
		return Trouble{}
	}
	e := lastMatching(events, func(e Event) bool {
		switch e.Reason {
		case ReasonFailedMount, "FailedAttachVolume", "FailedMapVolume", "FailedCreatePodSandBox", "FailedPodSandBoxStatus", "NetworkNotReady":
			return e.Warning()
		}
		return false
	})
	if e == nil {
		return Trouble{}
	}
	t := Trouble{Reason: e.Reason, rank: rankMount, Event: e, Detail: clip(e.Message, detailLength)}
	switch e.Reason {
	case "FailedCreatePodSandBox", "FailedPodSandBoxStatus", "NetworkNotReady":
		t.Text = fmt.Sprintf("the sandbox of pod %s cannot be created (%s)%s", p.Name, e.Reason, said(e.Message))
	default:
		t.Text = fmt.Sprintf("pod %s cannot mount its volumes (%s)%s", p.Name, e.Reason, said(mountWords(e.Message)))
	}
	return t
}
