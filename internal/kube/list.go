package kube

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"fairlead.dev/fairlead/internal/release"
)

// listPage bounds one answer of a list of records' metadata, about 1 KB each.
const listPage = 500

// RecordQuery selects release records.
type RecordQuery struct {
	Namespace string // "" = all
	Release   string // "" = all
	Driver    string // HELM_DRIVER, as in WatchOptions
}

// ListRecords returns what the metadata of the records tells (revision, status,
// UID, times) in the order of the API. It reads no record's body.
func ListRecords(ctx context.Context, c *Client, q RecordQuery) ([]release.Record, error) {
	storage := storageResource(q.Driver)
	if storage == "" {
		return nil, fmt.Errorf("list release records: the storage driver %q keeps no records in the cluster", q.Driver)
	}
	selector := labels.Set{"owner": "helm"}
	if q.Release != "" {
		selector["name"] = q.Release
	}
	opts := metav1.ListOptions{LabelSelector: selector.String(), Limit: listPage}
	var records []release.Record
	for {
		page, err := c.listPage(ctx, storage, q.Namespace, opts)
		if err != nil {
			return nil, fmt.Errorf("list release records: %w", err)
		}
		for i := range page.Items {
			if r, ok := recordFromMetadata(&page.Items[i]); ok {
				records = append(records, *r)
			}
		}
		if page.Continue == "" {
			return records, nil
		}
		opts.Continue = page.Continue
	}
}

func (c *Client) listPage(ctx context.Context, storage, namespace string, opts metav1.ListOptions) (*metav1.PartialObjectMetadataList, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	return c.metadata.Resource(resource("", "v1", storage)).Namespace(namespace).List(ctx, opts)
}

// ReadRecord reads one record's body and adds what decode finds in it to what
// its metadata told. With an error the record is as it was.
func ReadRecord(ctx context.Context, c *Client, driver string, decode func([]byte) (release.Record, error), known release.Record) (release.Record, error) {
	storage := storageResource(driver)
	if storage == "" {
		return known, fmt.Errorf("read a release record: the storage driver %q keeps no records in the cluster", driver)
	}
	r, err := fetchRecord(ctx, c, storage, decode, known)
	if err != nil {
		return known, fmt.Errorf("read release record %s: %w", recordName(known.Ref, known.Revision), err)
	}
	return r, nil
}
