// SPDX-License-Identifier: BSD-3-Clause
// What a Java program does with spymemcached; argument: the server's host:port. The first thing that
// is wrong ends it with its reason.
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import net.spy.memcached.AddrUtil;
import net.spy.memcached.CASResponse;
import net.spy.memcached.CASValue;
import net.spy.memcached.MemcachedClient;

class Spymemcached {
    static void same(String what, Object got, Object wanted) {
        if (got == null ? wanted == null : got.equals(wanted)) return;
        System.out.println(what + ": got " + got + ", not " + wanted);
        System.exit(1);
    }

    public static void main(String[] arguments) throws Exception {
        MemcachedClient cache = new MemcachedClient(AddrUtil.getAddresses(arguments[0]));
        same("set", cache.set("name", 0, "value").get(), true);
        same("get", cache.get("name"), "value");
        same("a miss", cache.get("nobody"), null);
        same("add what is there", cache.add("name", 0, "x").get(), false);
        same("replace", cache.replace("name", 0, "other").get(), true);
        byte[] bytes = new byte[300000];
        for (int i = 0; i < bytes.length; i++) bytes[i] = (byte) (i * i >> 3);
        same("bytes", cache.set("bytes", 0, bytes).get(), true);
        same("and back", Arrays.equals((byte[]) cache.get("bytes"), bytes), true);
        same("a number", cache.set("number", 0, 7L).get(), true); // flags tell its type
        same("and back", cache.get("number"), 7L);

        List<String> keys = new ArrayList<>();
        for (int n = 0; n < 200; n++) {
            keys.add("many" + n);
            cache.set("many" + n, 0, "value " + n);
        }
        keys.add("nobody");
        Map<String, Object> many = cache.getBulk(keys);
        same("of 201 keys", many.size(), 200);
        same("one of them", many.get("many42"), "value 42");

        CASValue<Object> seen = cache.gets("name");
        same("gets", seen.getValue(), "other");
        same("cas", cache.cas("name", seen.getCas(), "mine"), CASResponse.OK);
        same("cas of what it was", cache.cas("name", seen.getCas(), "yours"), CASResponse.EXISTS);
        same("a counter", cache.incr("count", 1, 40L), 40L);
        same("incr", cache.incr("count", 2), 42L);
        same("decr", cache.decr("count", 50), 0L);
        same("delete", cache.delete("name").get(), true);
        same("delete again", cache.delete("name").get(), false);
        same("stats", cache.getStats().values().iterator().next().containsKey("curr_items"), true);
        same("a date long ago", cache.set("past", 1000000000, "x").get(), true);
        same("is over", cache.get("past"), null);
        same("flush", cache.flush().get(), true);
        same("flushed", cache.get("many1"), null);
        cache.shutdown();
        System.out.println("right");
        System.exit(0);
    }
}
