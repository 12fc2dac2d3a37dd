// Controller measures `fairlead controller` over many CanaryReleases: API
// objects without pods, of which every one is reconciled again and again.
//
// It needs a cluster of its own with the CRDs of fairlead and the Gateway API,
// and installs both:
//
//	go build -o bin/bench-controller ./bench/controller
//	bin/cluster run --no-gateway -- bin/bench-controller -fairlead bin/fairlead \
//	    -gateway-crds "$(cd test/cluster && go list -m -f '{{.Dir}}' sigs.k8s.io/gateway-api)/config/crd/standard"
//
// With -flagger and -flagger-crd, that program and the file with its CRDs, it
// also measures what canaries cost that stand still, of both (make bench-flagger).
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"time"
)

func main() {
	fairlead := flag.String("fairlead", "bin/fairlead", "binary to measure")
	crds := flag.String("gateway-crds", "", "directory of the Gateway API's CRDs")
	small := flag.Int("small", 100, "CanaryReleases of the first measurement")
	large := flag.Int("large", 1000, "CanaryReleases of the second")
	rounds := flag.Int("rounds", 3, "how often each CanaryRelease is reconciled")
	flagger := flag.String("flagger", "", "Flagger's binary, to measure beside")
	flaggerCRD := flag.String("flagger-crd", "", "file with its CRDs")
	beside := flag.Int("beside", 100, "canaries of the comparison with Flagger")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var err error
	if *flagger != "" {
		err = runBeside(ctx, *fairlead, *crds, *flagger, *flaggerCRD, *beside)
	} else {
		err = run(ctx, *fairlead, *crds, []int{*small, *large}, *rounds)
	}
	if err != nil {
		log.Fatal("bench: ", err)
	}
}

func runBeside(ctx context.Context, fairlead, crds, flagger, flaggerCRD string, n int) error {
	if err := install(ctx, fairlead, crds); err != nil {
		return err
	}
	w, err := newWorld()
	if err != nil {
		return err
	}
	if err := w.grow(ctx, n); err != nil {
		return err
	}
	return w.besideFlagger(ctx, fairlead, flagger, flaggerCRD, n)
}

func run(ctx context.Context, fairlead, crds string, sizes []int, rounds int) error {
	if err := install(ctx, fairlead, crds); err != nil {
		return err
	}
	w, err := newWorld()
	if err != nil {
		return err
	}
	var cpu []float64
	for _, n := range sizes {
		began := time.Now()
		if err := w.grow(ctx, n); err != nil {
			return err
		}
		fmt.Printf("%d CanaryReleases made in %s\n", n, time.Since(began).Round(time.Second))
		r, err := w.measure(ctx, fairlead, n, rounds)
		if err != nil {
			return err
		}
		fmt.Print(r)
		cpu = append(cpu, r.cpu)
	}
	fmt.Printf("CPU at %d over CPU at %d: %.1f\n", sizes[len(sizes)-1], sizes[0], cpu[len(cpu)-1]/cpu[0])
	return nil
}

func install(ctx context.Context, fairlead, crds string) error {
	kubectl := os.Getenv("FAIRLEAD_TEST_KUBECTL")
	for _, name := range []string{"httproutes", "grpcroutes"} {
		file := filepath.Join(crds, "gateway.networking.k8s.io_"+name+".yaml")
		if out, err := exec.CommandContext(ctx, kubectl, "apply", "--server-side", "--force-conflicts", "-f", file).CombinedOutput(); err != nil {
			return fmt.Errorf("apply %s: %w: %s", file, err, out)
		}
	}
	out, err := exec.CommandContext(ctx, "sh", "-c", fmt.Sprintf("%s export crds | %s apply --server-side -f -", fairlead, kubectl)).CombinedOutput()
	if err != nil {
		return fmt.Errorf("apply the CRD: %w: %s", err, out)
	}
	out, err = exec.CommandContext(ctx, kubectl, "wait", "--for=condition=Established", "crd", "--all", "--timeout=30s").CombinedOutput()
	if err != nil {
		return fmt.Errorf("wait for the CRDs: %w: %s", err, out)
	}
	return nil
}
