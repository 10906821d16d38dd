---@meta
-- SPDX-License-Identifier: MIT
-- The types of bide's channels, locks, events, variables and iterators, for language servers. Never
-- loaded by a program.

---@class bide
local bide = {}

---An iterator of ticks at the multiples of `seconds` from now, without drift; those that were
---missed are skipped, and counted.
---@param seconds bide.seconds  more than 0
---@return fun(): integer tick
function bide.interval(seconds) end

---An iterator of `index, ok, value…` in the order of completion; of a failure `index, false, err`.
---Items with string keys have these as index. Leaving the loop cancels and joins the owned rest.
---@async
---@param items table  awaitables, and functions to run
---@return fun(state: any): integer|string, boolean, any ...
---@return any state
---@return nil
---@return any closing
function bide.as_completed(items) end

---@class bide.MapOptions
---@field limit? integer|number  how many run at a time, 16 unless told; math.huge: all
---@field collect? boolean  false: keep no results, return how many items there were

---Calls `f(item, index)` for each item, in tasks of their own. Items are drawn only as places come
---free; the iterator may wait. The first error, of `f` or of the iterator, cancels and joins the
---rest and is raised.
---@async
---@generic T, R
---@param items T[]|fun(): T?
---@param f fun(item: T, index: integer): R
---@param opts? bide.MapOptions
---@return R[]  with `n`; an integer with `collect=false`
function bide.map(items, f, opts) end

---@class bide.WaitOptions
---@field count? integer  how many must have ended, all unless told
---@field timeout? bide.seconds

---Waits until so many have ended or the time is up. Cancels nothing, raises none of their errors.
---@async
---@param awaitables bide.Awaitable[]
---@param opts? bide.WaitOptions
---@return bide.Awaitable[] ended
---@return bide.Awaitable[] pending
function bide.wait(awaitables, opts) end

---@class bide.Channel
---@operator len: integer
---@overload fun(): any
local Channel = {}

---A channel that buffers up to `capacity` values; at 0 a send ends when its value was received.
---@param capacity? integer|number  0 unless told; math.huge: without limit
---@return bide.Channel
function bide.channel(capacity) end

---Sends a value. Waits for a receiver or a free place; `EBADF` once the channel is closed.
---@async
---@param value any  not nil
function Channel:send(value) end

---The next value; nothing once the channel is closed and empty.
---@async
---@return any value
function Channel:recv() end

---Sends if that is possible without waiting.
---@param value any  not nil
---@return boolean sent
function Channel:try_send(value) end

---The next value, if there is one without waiting; else nothing.
---@return any value
function Channel:try_recv() end

---No more values: receivers get the end after what is buffered, waiting senders `EBADF`.
function Channel:close() end

---@return boolean
function Channel:closed() end

---Does the first that can be done of several receives `{channel}` and sends `{channel, value}`.
---@async
---@param cases table  a list of cases, and `timeout`
---@return integer? index  of the case; nothing when the timeout is past
---@return any value  received; nil at the end of the channel
function bide.select(cases) end

---Holds what was acquired until it is released, closed or (a mistake) collected.
---@class bide.Guard
local Guard = {}

---Gives it back, once; again does nothing.
function Guard:release() end

---@class bide.Lock
local Lock = {}

---@return bide.Lock
function bide.lock() end

---Waits for the lock, in the order of asking.
---@async
---@return bide.Guard guard  for a <close> variable
function Lock:acquire() end

---Calls `f` with the lock held and returns its results.
---@async
---@param f function
---@param ... any
---@return any ...
function Lock:with(f, ...) end

---@return boolean
function Lock:locked() end

---@class bide.Semaphore
local Semaphore = {}

---@param permits integer  1 or more
---@return bide.Semaphore
function bide.semaphore(permits) end

---Waits for a permit, in the order of asking.
---@async
---@return bide.Guard guard  for a <close> variable
function Semaphore:acquire() end

---Calls `f` with a permit held and returns its results.
---@async
---@param f function
---@param ... any
---@return any ...
function Semaphore:with(f, ...) end

---How many permits are free.
---@return integer
function Semaphore:available() end

---@class bide.Event
local Event = {}

---@return bide.Event
function bide.event() end

---Sets the flag and wakes all who wait.
function Event:set() end

function Event:clear() end

---@return boolean
function Event:is_set() end

---Waits until it is set; at once when it is.
---@async
function Event:wait() end

---@class bide.Condition
local Condition = {}

---@param lock? bide.Lock  one of its own unless told
---@return bide.Condition
function bide.condition(lock) end

---Acquires its lock.
---@async
---@return bide.Guard guard
function Condition:acquire() end

---Calls `f` with its lock held.
---@async
---@param f function
---@param ... any
---@return any ...
function Condition:with(f, ...) end

---Releases the lock, waits for a notification, holds the lock again. The task must hold it.
---@async
function Condition:wait() end

---Waits until `predicate` returns a true value, which it returns; asks at each notification.
---@async
---@generic T
---@param predicate fun(): T
---@return T
function Condition:wait_for(predicate) end

---Wakes the `n` tasks that have waited longest. The task must hold the lock.
---@param n? integer  1 unless told
function Condition:notify(n) end

function Condition:notify_all() end

---@class bide.Var
local Var = {}

---A variable of each task, copied to a task at its spawn.
---@param default? any
---@return bide.Var
function bide.var(default) end

---The running task's value, or the default.
---@return any
function Var:get() end

---@param value any
function Var:set(value) end

return bide
