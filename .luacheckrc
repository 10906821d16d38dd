-- SPDX-License-Identifier: MIT
std = "lua54"
max_line_length = 100
exclude_files = { "build/" }
files["spec"] = { std = "lua54+busted" }
files["bide-scm-1.rockspec"] = { std = "lua54+rockspec" }
