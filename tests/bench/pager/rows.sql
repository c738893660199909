-- SPDX-License-Identifier: BSD-3-Clause
-- sqlite in memory: ROWS rows, an index, ranges over it and a join. Trees of pages, pointers to chase.
PRAGMA temp_store = memory;
CREATE TABLE orders (id INTEGER PRIMARY KEY, customer INTEGER, price REAL, note TEXT);
INSERT INTO orders
  WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ROWS)
  SELECT i, (i * 2654435761) % (ROWS / 10), (i * 40503 % 100000) / 100.0,
         'order ' || i || ' of ' || (i * 7919 % 1000) FROM n;
CREATE INDEX by_customer ON orders (customer, price);
CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT);
INSERT INTO customers
  WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < ROWS / 10)
  SELECT i, 'customer ' || i FROM n;
SELECT count(*), sum(price) FROM orders WHERE customer BETWEEN ROWS / 100 AND ROWS / 20;
SELECT customers.name, count(*), round(sum(price), 2) AS total FROM orders
  JOIN customers ON customers.id = orders.customer GROUP BY customers.id ORDER BY total DESC LIMIT 5;
SELECT count(*), max(length(note)) FROM orders WHERE note LIKE '%of 77%';
UPDATE orders SET price = price + 1 WHERE id % 7 = 0;
SELECT round(sum(price), 2) FROM orders INDEXED BY by_customer WHERE customer % 3 = 0;
