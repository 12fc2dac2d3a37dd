package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// auditSettle is how long the API server may take to write its log: it logs a
// watch when it ends, in batches.
const auditSettle = 2 * time.Second

func auditLog() string { return filepath.Join(os.Getenv("FAIRLEAD_TEST_LOGS"), "audit.log") }

// auditSize is how long the API server's audit log is now; 0 where there is none.
func auditSize() (int64, error) {
	info, err := os.Stat(auditLog())
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// printRequests prints what the API server itself has logged of fairlead's
// requests since its log had that size, by verb and resource. Requests for a
// Lease are told apart: one renews it at fixed times, so they grow with how long
// an upgrade takes, and with nothing else.
func printRequests(out io.Writer, since int64) error {
	f, err := os.Open(auditLog())
	if errors.Is(err, fs.ErrNotExist) {
		return nil // the cluster keeps no audit log
	}
	if err != nil {
		return err
	}
	defer f.Close()
	time.Sleep(auditSettle)
	if _, err := f.Seek(since, io.SeekStart); err != nil {
		return err
	}
	seen, total := map[string]int{}, map[string]int{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 4<<20)
	for lines.Scan() {
		var e struct {
			UserAgent, Stage, Verb string
			ObjectRef              struct{ Resource, Subresource string }
		}
		if json.Unmarshal(lines.Bytes(), &e) != nil || e.UserAgent != "fairlead" || e.Stage != "ResponseComplete" {
			continue // the last line may be half written
		}
		resource := e.ObjectRef.Resource
		if e.ObjectRef.Subresource != "" {
			resource += "/" + e.ObjectRef.Subresource
		}
		seen[e.Verb+" "+resource]++
		kind := "for what is watched"
		if resource == "leases" {
			kind = "for the Lease"
		}
		total[kind]++
	}
	for _, kind := range slices.Sorted(maps.Keys(total)) {
		var parts []string
		for _, what := range slices.Sorted(maps.Keys(seen)) {
			if strings.HasSuffix(what, " leases") == (kind == "for the Lease") {
				parts = append(parts, fmt.Sprintf("%d %s", seen[what], what))
			}
		}
		fmt.Fprintf(out, "  by the audit log, %s\t\t\t%d: %s\t\t\n", kind, total[kind], strings.Join(parts, ", "))
	}
	return lines.Err()
}
