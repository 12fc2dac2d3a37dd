package segment

import (
	"container/list"
	"sync"
)

// Cache keeps decompressed chunks, the last used first, up to a number of
// bytes. It may serve several files. A nil Cache keeps nothing.
type Cache struct {
	mu    sync.Mutex
	max   int
	size  int
	order *list.List // of *cached, last used first
	items map[cacheKey]*list.Element
}

type cacheKey struct {
	file *File
	id   int64
}

type cached struct {
	key  cacheKey
	data []byte
}

// NewCache returns a cache of at most maxBytes.
func NewCache(maxBytes int) *Cache {
	return &Cache{max: maxBytes, order: list.New(), items: map[cacheKey]*list.Element{}}
}

func (c *Cache) get(f *File, id int64) ([]byte, bool) {
	if c == nil {
		return nil, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	el, ok := c.items[cacheKey{f, id}]
	if !ok {
		return nil, false
	}
	c.order.MoveToFront(el)
	return el.Value.(*cached).data, true
}

func (c *Cache) put(f *File, id int64, data []byte) {
	if c == nil || len(data) > c.max/4 {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	key := cacheKey{f, id}
	if _, ok := c.items[key]; ok {
		return
	}
	c.items[key] = c.order.PushFront(&cached{key, data})
	c.size += len(data)
	for c.size > c.max {
		c.drop(c.order.Back())
	}
}

func (c *Cache) drop(el *list.Element) {
	it := el.Value.(*cached)
	c.order.Remove(el)
	delete(c.items, it.key)
	c.size -= len(it.data)
}
