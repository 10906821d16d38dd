-- SPDX-License-Identifier: MIT
-- Both sides of a benchmark, in turns, and what they come to.
--
-- A case (bench/NAME.lua) is a table:
--   setup(ctx) → state      once; pre-flight checks stand here
--   bide(ctx, state)        one round of bide → table of figures
--   baseline(ctx, state)    one round of the baseline → table of figures with the same keys
--   rounds, quick_rounds    how often (default 3 and 1)
--   rows                    what to publish: { key=, name=, unit=, baseline=, and a target }
-- Targets: ratio_at_most, ratio_at_least (bide over baseline), at_most (bide alone); without
-- one the row is there to compare others with.
--
-- Invariant: the sides alternate, and a ratio is the median of the rounds' own ratios, so that a
-- machine whose speed wanders shifts both sides alike.

local M = {}

local function median(list)
  table.sort(list)
  local mid = #list // 2
  if #list % 2 == 1 then return list[mid + 1] end
  return (list[mid] + list[mid + 1]) / 2
end

local function figure(side, key, round)
  return assert(round[key], side .. " gave no figure " .. key)
end

---True when the row's target is met by the figure (`at_most`) or the ratio.
local function verdict(row, bide, ratio)
  if row.at_most then return bide <= row.at_most end
  if row.ratio_at_most then return ratio <= row.ratio_at_most end
  return not row.ratio_at_least or ratio >= row.ratio_at_least
end

local function publish(row, rounds)
  local bide, baseline, ratio = {}, {}, {}
  for i, round in ipairs(rounds) do
    bide[i] = figure("bide", row.key, round.bide)
    baseline[i] = figure("the baseline", row.key, round.baseline)
    ratio[i] = bide[i] / baseline[i]
  end
  local result = { row = row, bide = median(bide), baseline = median(baseline) }
  result.ratio = median(ratio)
  result.met = verdict(row, result.bide, result.ratio)
  return result
end

---All rows of a case, measured.
function M.case(case, ctx)
  local state = case.setup and case.setup(ctx)
  local rounds = {}
  for i = 1, ctx:scale(case.rounds or 3, case.quick_rounds or 1) do
    rounds[i] = { baseline = case.baseline(ctx, state), bide = case.bide(ctx, state) }
  end
  local results = {}
  for i, row in ipairs(case.rows) do results[i] = publish(row, rounds) end
  return results
end

return M
