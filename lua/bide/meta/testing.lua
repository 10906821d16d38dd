---@meta
-- SPDX-License-Identifier: MIT
-- The types of bide.testing, for language servers; docs/reference/testing.md tells the rest. Never
-- loaded by a program.

---@class bide
local bide = {}

---@class bide.testing
local testing = {}

---@type bide.testing
bide.testing = testing

---@class bide.testing.Options
---@field clock? "virtual"|"real" "virtual": time jumps to the next timer when nothing is ready
---@field seed? integer           the ready tasks run in a random order, the same for the same seed
---@field left? "fail"|"wait"     tasks that are left: an error, or waited for

---@class bide.testing.ShakeOptions: bide.testing.Options
---@field times? integer          how many seeds, 100; `seed` is the first, 1

---f's results, run alone under the options. Raises f's error, or one with code "ELEFT" that lists
---what f has left.
---@param f fun(): ...
---@param opts? bide.testing.Options
---@return ...
function testing.run(f, opts) end

---Runs f under one seed after the other; raises the first error and tells its seed.
---@param f fun()
---@param opts? bide.testing.ShakeOptions
function testing.shake(f, opts) end

---An `it` for busted, made of busted's, whose bodies may wait: each runs as `run` with these options.
---@param it fun(name: string, body: fun())
---@param opts? bide.testing.Options
---@return fun(name: string, body: fun())
function testing.it(it, opts) end
