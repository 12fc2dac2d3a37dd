package cli

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"fairlead.dev/fairlead/internal/release"
)

// printSnapshot draws the state of the cluster at a failure: what is not right
// first, then the evidence.
func printSnapshot(w io.Writer, s release.Snapshot) error {
	rows := [][]string{{"WORKLOAD", "READY", "UPDATED", "AVAILABLE", "CONDITIONS"}}
	for _, one := range s.Workloads {
		rows = append(rows, []string{
			one.String(), fmt.Sprintf("%d/%d", one.Ready, one.Desired), strconv.Itoa(int(one.Updated)),
			strconv.Itoa(int(one.Available)), conditions(one.Conditions),
		})
	}
	if err := section(w, "Workloads", rows); err != nil {
		return err
	}
	if err := section(w, "Pods", podRows(s.Pods)); err != nil {
		return err
	}
	rows = [][]string{{"CLAIM", "PHASE", "STORAGE CLASS"}}
	for _, c := range s.Claims {
		rows = append(rows, []string{c.Name, c.Phase, c.StorageClass})
	}
	if err := section(w, "Volume claims", rows); err != nil {
		return err
	}
	rows = [][]string{{"NODE", "READY", "CONDITIONS", "TAINTS"}}
	for _, n := range s.Nodes {
		rows = append(rows, []string{n.Name, strconv.FormatBool(n.Ready), conditions(n.Conditions), strings.Join(n.Taints, ", ")})
	}
	if err := section(w, "Nodes", rows); err != nil {
		return err
	}
	rows = [][]string{{"QUOTA", "RESOURCE", "USED", "HARD"}}
	for _, q := range s.Quotas {
		for resource, hard := range q.Hard {
			rows = append(rows, []string{q.Name, resource, q.Used[resource], hard})
		}
	}
	if err := section(w, "Quotas", rows); err != nil {
		return err
	}
	rows = [][]string{{"LAST SEEN", "COUNT", "TYPE", "REASON", "OBJECT", "MESSAGE"}}
	for _, e := range s.Events {
		rows = append(rows, []string{e.Last.Format(time.TimeOnly), strconv.Itoa(int(e.Count)), e.Type, e.Reason, e.Object.String(), e.Message})
	}
	if err := section(w, "Events", rows); err != nil {
		return err
	}
	for _, l := range s.Logs {
		run := ""
		if l.Previous {
			run = ", the run before"
		}
		fmt.Fprintf(w, "\nLog of container %s of pod %s%s:\n", l.Container, l.Pod, run)
		for _, line := range l.Lines {
			fmt.Fprintf(w, "  %s\n", line)
		}
	}
	for _, m := range s.Missing {
		fmt.Fprintf(w, "\nCould not be read: %s", m)
	}
	for _, o := range s.Omitted {
		fmt.Fprintf(w, "\nLeft out: %s", o)
	}
	if len(s.Missing)+len(s.Omitted) > 0 {
		fmt.Fprintln(w)
	}
	return nil
}

// section prints a heading and a table, or nothing when there is no row below
// the table's own heading.
func section(w io.Writer, title string, rows [][]string) error {
	if len(rows) < 2 {
		return nil
	}
	fmt.Fprintf(w, "\n%s\n", title)
	return table(w, rows)
}

func podRows(pods []release.Pod) [][]string {
	rows := [][]string{{"POD", "PHASE", "READY", "RESTARTS", "NODE", "WHAT IT DOES"}}
	for _, p := range pods {
		ready, restarts := 0, int32(0)
		var doing []string
		if p.Reason != "" {
			doing = append(doing, strings.TrimSpace(p.Reason+" "+p.Message))
		}
		for _, c := range append(append([]release.Container{}, p.Init...), p.Containers...) {
			restarts += c.Restarts
			if c.Ready {
				ready++
			}
			if text := containerState(c); text != "" {
				doing = append(doing, c.Name+": "+text)
			}
		}
		rows = append(rows, []string{
			p.Name, p.Phase, fmt.Sprintf("%d/%d", ready, len(p.Containers)), strconv.Itoa(int(restarts)), p.Node, strings.Join(doing, "; "),
		})
	}
	return rows
}

// containerState says what keeps a container from its work, "" for a healthy one.
func containerState(c release.Container) string {
	var parts []string
	if c.State == release.ContainerWaiting && c.Reason != "" {
		parts = append(parts, strings.TrimSpace(c.Reason+" "+c.Message))
	}
	exit := c.Exit
	if exit == nil {
		exit = c.LastExit
	}
	if exit != nil && (exit.ExitCode != 0 || exit.Signal != 0) {
		parts = append(parts, strings.TrimSpace(fmt.Sprintf("exit code %d %s %s", exit.ExitCode, exit.Reason, exit.Message)))
	}
	if len(parts) == 0 && c.State == release.ContainerRunning && !c.Ready {
		return "running, not ready"
	}
	return strings.Join(parts, ", ")
}

// conditions lists conditions in one cell.
func conditions(all []release.Condition) string {
	var out []string
	for _, c := range all {
		text := c.Type + "=" + c.Status
		if c.Reason != "" {
			text += " (" + c.Reason + ")"
		}
		out = append(out, text)
	}
	return strings.Join(out, ", ")
}
