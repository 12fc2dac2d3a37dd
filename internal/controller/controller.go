// Package controller drives CanaryReleases in a cluster: it looks at workloads,
// route and telemetry, lets package rollout decide, persists what was decided,
// and does it. [Run] is all of it.
package controller

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"fairlead.dev/fairlead/api/v1alpha1"
	"fairlead.dev/fairlead/internal/emit"
	"fairlead.dev/fairlead/internal/notify"
	"fairlead.dev/fairlead/internal/prom"
	"fairlead.dev/fairlead/internal/rbac"
	"fairlead.dev/fairlead/internal/tracing"
	"fairlead.dev/fairlead/internal/traffic"
)

// Options are what Run needs beside a cluster.
type Options struct {
	// Namespaces to watch; none is all.
	Namespaces []string
	// Prometheus and Traces are asked for CanaryReleases that name none.
	Prometheus *prom.Config
	Traces     tracing.Source
	// Emitter takes spans and records.
	Emitter *emit.Emitter
	// Notify are told of the end of each rollout.
	Notify []*notify.Receiver
	// Cluster is the cluster's name in records.
	Cluster string

	LeaderElection bool
	// LeaderNamespace holds the Lease; the namespace of this pod by default.
	LeaderNamespace string
	// LeaseDuration is how long another controller waits for one that is gone;
	// 15 s by default.
	LeaseDuration time.Duration
	// Metrics and Health are addresses to serve on; "0" is off.
	Metrics, Health string
	// Drain is how long a track without traffic keeps its pods as they are; 10 s by default.
	Drain time.Duration
	// Workers reconcile at once, and as many take looks; 8 by default.
	Workers int
	// Driver is who moves the weights, in records; "controller" by default.
	Driver string
	Logger logr.Logger
}

// Run drives the cluster's CanaryReleases until ctx ends.
func Run(ctx context.Context, config *rest.Config, o Options) error {
	o = o.withDefaults()
	log.SetLogger(o.Logger)
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return err
	}
	mgr, err := manager.New(config, o.manager(scheme))
	if err != nil {
		return fmt.Errorf("start the controller: %w", err)
	}
	if err := indexes(ctx, mgr.GetFieldIndexer()); err != nil {
		return fmt.Errorf("start the controller: %w", err)
	}
	if err := errors.Join(mgr.AddHealthzCheck("ping", healthz.Ping), mgr.AddReadyzCheck("ping", healthz.Ping)); err != nil {
		return err
	}
	if err := setUp(mgr, o); err != nil {
		return fmt.Errorf("start the controller: %w", err)
	}
	return mgr.Start(ctx)
}

func (o Options) withDefaults() Options {
	if o.LeaseDuration == 0 {
		o.LeaseDuration = 15 * time.Second
	}
	if o.Drain == 0 {
		o.Drain = defaultDrain
	}
	if o.Workers == 0 {
		o.Workers = 8
	}
	if o.Driver == "" {
		o.Driver = "controller"
	}
	return o
}

func (o Options) manager(scheme *runtime.Scheme) manager.Options {
	renew, retry := o.LeaseDuration*2/3, o.LeaseDuration/6
	m := manager.Options{
		Scheme: scheme, Logger: o.Logger,
		Metrics:                metricsserver.Options{BindAddress: o.Metrics},
		HealthProbeBindAddress: o.Health,
		LeaderElection:         o.LeaderElection, LeaderElectionID: rbac.ControllerLeaderName, LeaderElectionNamespace: o.LeaderNamespace,
		LeaderElectionReleaseOnCancel: true, LeaseDuration: &o.LeaseDuration, RenewDeadline: &renew, RetryPeriod: &retry,
		Cache: cache.Options{DefaultTransform: cache.TransformStripManagedFields()},
		Client: client.Options{Cache: &client.CacheOptions{
			Unstructured: true, // routes
			DisableFor:   []client.Object{&corev1.ConfigMap{}, &corev1.Secret{}, &corev1.Pod{}},
		}},
	}
	if len(o.Namespaces) > 0 {
		m.Cache.DefaultNamespaces = map[string]cache.Config{}
		for _, ns := range o.Namespaces {
			m.Cache.DefaultNamespaces[ns] = cache.Config{}
		}
	}
	if o.LeaderElection && o.LeaderNamespace == "" {
		if _, err := os.Stat("/var/run/secrets/kubernetes.io/serviceaccount/namespace"); err != nil {
			m.LeaderElectionNamespace = "default" // not in a pod
		}
	}
	return m
}

// setUp puts the parts together.
func setUp(mgr manager.Manager, o Options) error {
	registerMetrics()
	woken := make(chan event.TypedGenericEvent[*v1alpha1.CanaryRelease], 1024)
	wake := func(key types.NamespacedName) {
		cr := &v1alpha1.CanaryRelease{}
		cr.Namespace, cr.Name = key.Namespace, key.Name
		select {
		case woken <- event.TypedGenericEvent[*v1alpha1.CanaryRelease]{Object: cr}:
		default: // the reconciler is behind, and looks at what is newest anyway
		}
	}
	r := newReconciler(mgr.GetClient(), mgr.GetAPIReader(), mgr.GetEventRecorder("fairlead-controller"), wake, o)
	c, err := controller.New("canaryrelease", mgr, controller.Options{Reconciler: r, MaxConcurrentReconciles: o.Workers})
	if err != nil {
		return err
	}
	r.watch = watcher(mgr.GetCache(), c, r)
	// Of a CanaryRelease only what people write wakes the reconciler up: its own
	// writes of the status do not.
	written := predicate.Or(predicate.TypedGenerationChangedPredicate[*v1alpha1.CanaryRelease]{}, predicate.TypedAnnotationChangedPredicate[*v1alpha1.CanaryRelease]{})
	same := func(_ context.Context, cr *v1alpha1.CanaryRelease) []reconcile.Request {
		return []reconcile.Request{{NamespacedName: client.ObjectKeyFromObject(cr)}}
	}
	return errors.Join(
		c.Watch(source.Kind(mgr.GetCache(), &v1alpha1.CanaryRelease{}, handler.TypedEnqueueRequestsFromMapFunc(r.contenders), written)),
		c.Watch(source.Kind[client.Object](mgr.GetCache(), &appsv1.Deployment{}, handler.EnqueueRequestsFromMapFunc(r.enqueue(indexClaims, "Deployment")))),
		c.Watch(source.Kind[client.Object](mgr.GetCache(), &appsv1.StatefulSet{}, handler.EnqueueRequestsFromMapFunc(r.enqueue(indexClaims, "StatefulSet")))),
		c.Watch(source.Kind[client.Object](mgr.GetCache(), &corev1.Service{}, handler.EnqueueRequestsFromMapFunc(r.enqueue(indexReads, "Service")))),
		c.Watch(source.Channel(woken, handler.TypedEnqueueRequestsFromMapFunc(same))),
		mgr.Add(r.looks), mgr.Add(r.tell), mgr.Add(metricsSender{o.Emitter}),
	)
}

// newReconciler puts together what reconciles, but for its watches.
func newReconciler(c client.Client, reader client.Reader, recorder events.EventRecorder, wake func(types.NamespacedName), o Options) *Reconciler {
	src := &sources{reader: reader, metrics: o.Prometheus, search: o.Traces}
	return &Reconciler{
		client: c, reader: reader, events: recorder, sources: src,
		looks: newLooker(configMaps{c, reader}, o.Workers, wake),
		hooks: newHooks(c, reader),
		tell: &teller{
			events: recorder, emitter: o.Emitter, sources: src, notify: o.Notify, cluster: o.Cluster, driver: o.Driver, wake: wake,
			tasks: make(chan func(context.Context), maxTasks), said: map[types.NamespacedName]said{}, found: map[types.NamespacedName]*explained{}, met: map[types.NamespacedName]bool{},
		},
		now: time.Now, drain: o.Drain, since: map[types.NamespacedName]weightSince{}, ready: map[types.NamespacedName]readySince{},
	}
}

// watcher returns a function that watches a kind of route, once: most clusters
// have but one kind, and a kind that a cluster does not have cannot be watched.
func watcher(objects cache.Cache, c controller.Controller, r *Reconciler) func(traffic.Kind) error {
	var mu sync.Mutex
	watched := map[traffic.Kind]bool{traffic.KindReplicas: true} // workloads are watched anyway
	return func(kind traffic.Kind) error {
		mu.Lock()
		defer mu.Unlock()
		if watched[kind] {
			return nil
		}
		route := &unstructured.Unstructured{}
		route.SetGroupVersionKind(kind.GroupVersionKind())
		if err := c.Watch(source.Kind[client.Object](objects, route, handler.EnqueueRequestsFromMapFunc(r.enqueue(indexClaims, string(kind))))); err != nil {
			return fmt.Errorf("watch %s: %w", kind, err)
		}
		watched[kind] = true
		return nil
	}
}
