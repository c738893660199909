// SPDX-License-Identifier: BSD-3-Clause
// What a Go program does with gomemcache; argument: the server's host:port. The first thing that is
// wrong ends it with its reason.
package main

import (
	"bytes"
	"fmt"
	"os"

	"github.com/bradfitz/gomemcache/memcache"
)

func same(what string, got, wanted interface{}) {
	if fmt.Sprint(got) != fmt.Sprint(wanted) {
		fmt.Printf("%s: got %v, not %v\n", what, got, wanted)
		os.Exit(1)
	}
}

func main() {
	cache := memcache.New(os.Args[1])
	value := bytes.Repeat([]byte("\x00\r\n\xffEND\r\n"), 30000)
	same("set", cache.Set(&memcache.Item{Key: "name", Value: value, Flags: 4294967295}), nil)
	item, err := cache.Get("name")
	same("get", err, nil)
	same("its bytes", bytes.Equal(item.Value, value), true)
	same("its flags", item.Flags, uint32(4294967295))
	_, err = cache.Get("nobody")
	same("a miss", err, memcache.ErrCacheMiss)
	same("add what is there", cache.Add(&memcache.Item{Key: "name"}), memcache.ErrNotStored)

	var keys []string
	for n := 0; n < 200; n++ {
		key := fmt.Sprintf("many%d", n)
		keys = append(keys, key)
		same("set "+key, cache.Set(&memcache.Item{Key: key, Value: []byte(key)}), nil)
	}
	many, err := cache.GetMulti(append(keys, "nobody"))
	same("many", err, nil)
	same("of 201 keys", len(many), 200)
	same("one of them", string(many["many42"].Value), "many42")

	item, _ = cache.Get("many1")
	item.Value = []byte("mine")
	same("cas", cache.CompareAndSwap(item), nil)
	same("cas of what it was", cache.CompareAndSwap(item), memcache.ErrCASConflict)
	cache.Set(&memcache.Item{Key: "count", Value: []byte("40")})
	number, err := cache.Increment("count", 2)
	same("increment", []interface{}{number, err}, []interface{}{42, nil})
	number, err = cache.Decrement("count", 50)
	same("decrement", []interface{}{number, err}, []interface{}{0, nil})
	same("delete", cache.Delete("name"), nil)
	same("delete again", cache.Delete("name"), memcache.ErrCacheMiss)
	cache.Set(&memcache.Item{Key: "past", Value: []byte("x"), Expiration: 1000000000})
	_, err = cache.Get("past")
	same("a date long ago", err, memcache.ErrCacheMiss)
	fmt.Println("right")
}
