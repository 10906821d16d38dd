-- SPDX-License-Identifier: MIT
std = "lua54"
max_line_length = 100
-- A to-be-closed variable is used by going out of scope.
ignore = { "21[12]/_.*", "211/guard" }
exclude_files = { "build/" }
files["host/program/prompt.lua"] = { read_globals = { "_PROMPT", "_PROMPT2" } }
-- Declarations alone, and an annotation cannot be broken.
files["lua/bide/meta"] = { unused = false, max_line_length = false }
files["spec"] = { std = "lua54+busted" }
files["bide-scm-1.rockspec"] = { std = "lua54+rockspec" }
