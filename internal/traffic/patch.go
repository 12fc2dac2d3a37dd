package traffic

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// FieldManager is under which name the API server records the writes.
const FieldManager = "fairlead"

// operation is one of a JSON patch (RFC 6902). A patch is applied to the object
// as the API server has it, so what it does not name stays byte for byte.
type operation struct {
	Op    string `json:"op"`
	Path  string `json:"path"`
	Value any    `json:"value"`
}

// patch applies operations, which begin with tests of what was read. No
// operations: nothing is written.
func patch(ctx context.Context, c client.Client, obj client.Object, ops []operation) error {
	if len(ops) == 0 {
		return nil
	}
	data, err := json.Marshal(ops)
	if err != nil {
		return fmt.Errorf("encode patch: %w", err)
	}
	return c.Patch(ctx, obj, client.RawPatch(types.JSONPatchType, data), client.FieldOwner(FieldManager))
}

// staleBackoff is for objects that changed between the read and the write, and
// for caches that lag behind: in all about a second.
var staleBackoff = wait.Backoff{Steps: 7, Duration: 10 * time.Millisecond, Factor: 2, Jitter: 0.1}

// retryStale runs f again while the object it read is no longer what the API
// server has. The last error is returned.
func retryStale(ctx context.Context, f func() error) error {
	var last error
	err := wait.ExponentialBackoffWithContext(ctx, staleBackoff, func(context.Context) (bool, error) {
		last = f()
		if stale(last) {
			return false, nil
		}
		return true, last
	})
	if wait.Interrupted(err) && last != nil {
		return last
	}
	return err
}

// stale reports whether a write met an object other than the one read. The API
// server answers a test that fails with 422.
func stale(err error) bool { return apierrors.IsConflict(err) || apierrors.IsInvalid(err) }
