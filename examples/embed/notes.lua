-- SPDX-License-Identifier: MIT
-- notes.lua: many tasks over one SQLite connection; sqlite.c is the module.
--
--     LUA_CPATH=./?.so bide notes.lua
local bide = require "bide"
local sqlite = require "sqlite"

local db <close> = sqlite.open(":memory:")
db:exec "create table notes (id integer primary key, text, weight real)"

-- forty tasks insert at once; meanwhile others go on
local ticks = 0
local ticker = bide.daemon(function() while true do bide.sleep(0) ticks = ticks + 1 end end)
local numbers = {}
for i = 1, 40 do numbers[i] = i end
bide.map(numbers, function(i)
  db:exec("insert into notes (text, weight) values (?, ?)", "note " .. i, i / 4)
end)
print("others ran meanwhile", ticks > 0)
ticker:cancel()

for _, row in ipairs(db:exec("select count(*) as n, sum(weight) as sum from notes")) do
  print(row.n, row.sum)
end
local notes = db:exec("select text, ? as a, ? as b from notes where weight = ?", true, nil, 2)
for _, row in ipairs(notes) do
  print(row.text, row.a, row.b)
end

local ok, err = pcall(db.exec, db, "select nonsense from notes")
print(ok, err.code, err)

-- a query without an end stops with the deadline, and the connection can be used again
local endless = [[with recursive n(i) as (select 1 union all select i + 1 from n)
  select count(*) from n]]
ok, err = pcall(bide.timeout, 0.05, db.exec, db, endless)
print(ok, err.code)
print(#db:exec "select id from notes")
