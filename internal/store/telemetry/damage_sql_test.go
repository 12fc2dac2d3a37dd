package telemetry

import (
	"database/sql"
	"testing"

	_ "modernc.org/sqlite" // the driver, for damageChunk
)

// damageChunk overwrites the middle of the first chunk of a closed file.
func damageChunk(t *testing.T, path string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	res, err := db.ExecContext(t.Context(), "UPDATE chunks SET data = substr(data, 1, length(data) / 2) || zeroblob(length(data) - length(data) / 2) WHERE id = 1")
	if err != nil {
		t.Fatal(err)
	}
	if n, err := res.RowsAffected(); err != nil || n != 1 {
		t.Fatalf("%d chunks damaged, %v", n, err)
	}
}
