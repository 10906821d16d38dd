-- SPDX-License-Identifier: MIT
-- The table on stdout: one line per row, the verdict computed, never written down.

local M = {}

local LINE = "%-28s %12s %12s %7s  %-9s %-8s %s\n"

local function number(x, unit)
  local digits = x >= 1000 and 0 or x >= 100 and 1 or x >= 10 and 2 or 3
  return ("%." .. digits .. "f %s"):format(x, unit)
end

local function target(row)
  if row.at_most then return ("<= %g"):format(row.at_most) end
  if row.ratio_at_most then return ("<= %gx"):format(row.ratio_at_most) end
  return row.ratio_at_least and (">= %gx"):format(row.ratio_at_least)
end

function M.header(quick)
  if quick then io.write("quick: one round each, small loads; not for publication\n") end
  io.write(LINE:format("benchmark", "bide", "baseline", "ratio", "target", "verdict",
    "baseline is"))
  io.flush()
end

function M.rows(_, results)
  for _, r in ipairs(results) do
    io.write(LINE:format(r.row.name, number(r.bide, r.row.unit), number(r.baseline, r.row.unit),
      ("%.2f"):format(r.ratio), target(r.row) or "-",
      not target(r.row) and "-" or r.met and "met" or "NOT met", r.row.baseline))
  end
  io.flush()
end

function M.failure(name, err)
  io.write(("%-28s %s\n"):format(name, (tostring(err):gsub("%s+$", ""))))
  io.flush()
end

return M
